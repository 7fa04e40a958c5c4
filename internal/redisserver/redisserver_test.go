package redisserver

import (
	"strings"
	"testing"
)

func TestFlawsAreNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings Settings
		says     []string // of each flaw
	}{
		"as it should be":                {Settings{"noeviction", "yes", "always"}, nil},
		"a server that says nothing":     {Settings{}, nil},
		"one that evicts":                {Settings{"allkeys-lru", "yes", "always"}, []string{"set it to noeviction"}},
		"one that evicts what has a TTL": {Settings{"volatile-lru", "yes", "always"}, []string{"volatile-lru"}},
		"one without a log":              {Settings{"noeviction", "no", "everysec"}, []string{"appendonly is no"}},
		"one that syncs later":           {Settings{"noeviction", "yes", "everysec"}, []string{"appendfsync is everysec"}},
		"one with everything":            {Settings{"allkeys-random", "yes", "no"}, []string{"allkeys-random", "appendfsync is no"}},
	} {
		flaws := test.settings.Flaws()
		if len(flaws) != len(test.says) {
			t.Errorf("%s: %q", name, flaws)
			continue
		}
		for i, says := range test.says {
			if !strings.Contains(flaws[i], says) {
				t.Errorf("%s: %q does not say %q", name, flaws[i], says)
			}
		}
	}
}

func TestAnAnswerIsReadInBothProtocols(t *testing.T) {
	t.Parallel()
	for want, answer := range map[string]any{
		"a": []any{"appendonly", "a"},
		"b": map[any]any{"appendonly": "b"},
		"":  []any{},
	} {
		if got := value(answer, "appendonly"); got != want {
			t.Errorf("of %v: %q", answer, got)
		}
	}
}
