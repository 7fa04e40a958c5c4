package stores

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// announcements are the lines of package servers that say how each program runs. Each is printed
// once.
var announcements = map[string]bool{}

// examineApart examines one store in another process of this test's executable, and counts the
// cases that passed.
func examineApart(t *testing.T, r row) report {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.CommandContext(t.Context(), executable, "-test.v", "-test.timeout", "10m",
		"-test.run", "^TestStores$/^"+regexp.QuoteMeta(r.name)+"$", fmt.Sprintf("-write=%t", *writeFlag))
	cmd.Env = append(os.Environ(), reportVariable+"="+path)
	out, failure := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "servers: ") && !announcements[line] {
			announcements[line] = true
			fmt.Print(line)
		}
	}
	if failure != nil {
		t.Errorf("%v\n%s", failure, out)
	}
	var report report
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, &report)
	}
	if err != nil {
		t.Errorf("no report: %v", err)
	}
	report.cases, report.passed, report.failed = count(string(out), "TestStores/"+r.name+"/")
	if report.passed == 0 || report.passed+report.failed != report.cases {
		t.Errorf("of %d cases %d passed and %d failed", report.cases, report.passed, report.failed)
	}
	return report
}

var verdict = regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL|SKIP): (\S+) \(`)

// suites matches the tests that contain the cases of the conformance suite.
var suites = regexp.MustCompile(`^(state|lock|(event_store|feed)_with_the_(lock|lease))/`)

// count counts the results of the conformance suite's cases in the output of a test. A test that
// contains other tests is not a case.
func count(output, prefix string) (cases, passed, failed int) {
	verdicts := map[string]string{}
	for _, found := range verdict.FindAllStringSubmatch(output, -1) {
		if name, ok := strings.CutPrefix(found[2], prefix); ok && suites.MatchString(name) {
			verdicts[name] = found[1]
		}
	}
	for name := range verdicts {
		for i, c := range name {
			if c == '/' {
				delete(verdicts, name[:i])
			}
		}
	}
	for _, v := range verdicts {
		cases++
		switch v {
		case "PASS":
			passed++
		case "FAIL":
			failed++
		}
	}
	return cases, passed, failed
}

func TestCasesAreCountedByTheirVerdicts(t *testing.T) {
	t.Parallel()
	const output = `=== RUN   TestStores/redis/state/a_swap
servers: redis runs
    --- PASS: TestStores/redis/state/a_swap (0.00s)
        --- PASS: TestStores/redis/state/a_read/of_one (0.01s)
        --- FAIL: TestStores/redis/state/a_read/of_two (0.01s)
    --- FAIL: TestStores/redis/state/a_read (0.02s)
    --- PASS: TestStores/redis/event_store_with_the_lease/R1 (0.02s)
    --- SKIP: TestStores/redis/event_store_with_the_lease/R2 (0.02s)
--- PASS: TestStores/redis/race (1.00s)
--- PASS: TestStores/sqlite/state/a_swap (0.00s)
--- FAIL: TestStores/redis/state (0.00s)
`
	if cases, passed, failed := count(output, "TestStores/redis/"); cases != 5 || passed != 3 || failed != 1 {
		t.Errorf("%d cases, %d passed, %d failed, want 5, 3, 1", cases, passed, failed)
	}
}
