package servers

import "testing"

// Chromium is the path of a Chromium browser, for tests that drive one. It is installed where that is possible.
func Chromium(t testing.TB) string {
	t.Helper()
	path, err := Installed("chromium", "chromium")
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return path
}
