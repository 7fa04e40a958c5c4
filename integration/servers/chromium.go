package servers

import "testing"

// Chromium returns the path of a Chromium browser, for tests that drive one. It installs the
// browser where that is possible.
func Chromium(t testing.TB) string {
	t.Helper()
	path, err := Installed("chromium", "chromium")
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return path
}
