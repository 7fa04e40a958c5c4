package integration

import (
	"os/exec"
	"strings"
	"testing"
)

func TestAnAuditWithoutItsDatabaseFailsAndSaysSo(t *testing.T) {
	t.Parallel()
	const nobody = "http://127.0.0.1:1" // nothing listens at the port tcpmux
	audit := exec.CommandContext(t.Context(), "make", "audit", "VULNDB="+nobody)
	audit.Dir = root(t)
	out, err := audit.CombinedOutput()
	if err == nil {
		t.Error("make audit succeeds")
	}
	for _, says := range []string{"nothing was checked", nobody, "Error 4"} {
		if !strings.Contains(string(out), says) {
			t.Errorf("the output does not contain %q:\n%s", says, out)
		}
	}
}
