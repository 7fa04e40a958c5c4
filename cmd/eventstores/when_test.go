package main

import (
	"testing"
	"time"
)

func TestATimeIsReadInEachForm(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 26, 18, 0, 0, 0, time.UTC)
	local := want.Local()
	for _, text := range []string{
		"2026-11-26T18:00:00Z", "2026-11-26T18:00:00.000Z", "2026-11-26T18:00Z", "2026-11-26 18:00Z", "2026-11-26 18:00:00.0Z", "2026-11-26T20:00+02:00", "2026-11-26 13:00:00-05:00",
		local.Format("2006-01-02T15:04:05"), local.Format("2006-01-02 15:04"),
	} {
		var got when
		if err := got.Set(text); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v", text, got.UTC(), err)
		}
	}
	for _, text := range []string{"", "now", "-2h", "1e9h", "-1d", "65536d", "2026", "18:00", "2026-02-30", "2026-11-26T25:00Z", "\x1b[2J"} {
		var got when
		if err := got.Set(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	var days, hours when
	if days.Set("3d") != nil || hours.Set("72h") != nil || hours.Sub(days.Time).Abs() > time.Minute {
		t.Errorf("3d is %v, 72h is %v", days, hours)
	}
}
