package storetest

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
)

// testLogs expects the attributes of each operation in the log, and no payload.
func testLogs(t *testing.T, target Target) {
	var buf syncBuffer
	p := target.provider(t, eventstore.WithLogger(slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	s := open(t, p, unique())
	appendOne(t, s, opened{"SENTINEL"}, deposited{Note: "SENTINEL"})
	collect(t, s.Read(contextOf(t)))
	if err := s.SaveSnapshot(contextOf(t), 1, opened{"SENTINEL"}); err != nil {
		t.Error(err)
	}
	s.Close()
	log := buf.String()
	for _, attribute := range []string{`"stream":`, `"session":`, `"version":2`, `"count":2`, `"duration":`} {
		if !strings.Contains(log, attribute) {
			t.Errorf("no %s in the log:\n%s", attribute, log)
		}
	}
	if strings.Contains(log, "SENTINEL") {
		t.Errorf("a payload in the log:\n%s", log)
	}
}
