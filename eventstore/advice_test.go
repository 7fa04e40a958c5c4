package eventstore

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// advised lists each error type of the package, with the advice for it.
var advised = []struct {
	err    error
	advice Advice
}{
	{&IdempotencyIDUsedError{}, AdviceAlreadyStored},
	{&StorageError{}, AdviceRetry},
	{&SessionExpiredError{}, AdviceRetry},
	{&OpenTimeoutError{}, AdviceRetry},
	{&VersionMismatchError{}, AdviceConflict},
	{&SessionLostError{}, AdviceConflict},
	{&LostWritesError{}, AdviceConflict},
	{&ArgumentError{}, AdviceGiveUp},
	{&NotOpenError{}, AdviceGiveUp},
	{&BatchTooLargeError{}, AdviceGiveUp},
	{&StreamClosedError{}, AdviceGiveUp},
	{&StreamDeletedError{}, AdviceGiveUp},
	{&StreamNotFoundError{}, AdviceGiveUp},
	{&VersionNotFoundError{}, AdviceGiveUp},
	{&SnapshotNotFoundError{}, AdviceGiveUp},
	{&IdempotencyIDNotFoundError{}, AdviceGiveUp},
	{&DamagedError{}, AdviceGiveUp},
	{&TypeNotRegisteredError{}, AdviceGiveUp},
	{&SchemaError{}, AdviceGiveUp},
	{&TypeMismatchError{}, AdviceGiveUp},
	{&InlineError{}, AdviceGiveUp},
	{&OutcomeUnknownError{}, AdviceRepeatWithSameID},
}

// exportedErrorTypes returns the names of the exported types of a folder that have a method Error.
func exportedErrorTypes(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS(folder), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), folder+"/"+name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Error" {
				continue
			}
			of := f.Recv.List[0].Type
			if pointer, ok := of.(*ast.StarExpr); ok {
				of = pointer.X
			}
			if named, ok := of.(*ast.Ident); ok && named.IsExported() {
				names = append(names, named.Name)
			}
		}
	}
	return names
}

func TestEveryErrorTypeHasItsAdvice(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, row := range advised {
		rows = append(rows, reflect.TypeOf(row.err).Elem().Name())
		for name, err := range map[string]error{
			"alone":                  row.err,
			"wrapped":                fmt.Errorf("list the account: %w", row.err),
			"joined with a stranger": errors.Join(errors.New("a stranger"), row.err),
			"joined with a context":  errors.Join(context.Canceled, row.err),
			"deep":                   fmt.Errorf("a: %w", errors.Join(nil, fmt.Errorf("b: %w", row.err))),
		} {
			if got := Advise(err); got != row.advice {
				t.Errorf("%T %s: %s, want %s", row.err, name, got, row.advice)
			}
		}
	}
	there := exportedErrorTypes(t, ".")
	slices.Sort(rows)
	slices.Sort(there)
	if len(there) == 0 || !slices.Equal(rows, there) {
		t.Errorf("give each error type a case in adviceOf and a row in this test:\nrows  %q\ntypes %q", rows, there)
	}
}

func TestOfSeveralErrorsTheMostCarefulAdviceHolds(t *testing.T) {
	t.Parallel()
	for _, a := range advised {
		for _, b := range advised {
			want := max(a.advice, b.advice)
			for name, err := range map[string]error{
				"joined":                errors.Join(a.err, b.err),
				"wrapped together":      fmt.Errorf("%w; then: %w", a.err, b.err),
				"the cause of":          &StorageError{Cause: errors.Join(a.err, b.err)},
				"the cause of a damage": &DamagedError{Cause: errors.Join(a.err, b.err)},
			} {
				want := want
				switch name {
				case "the cause of":
					want = max(want, AdviceRetry)
				case "the cause of a damage":
					want = max(want, AdviceGiveUp)
				}
				if got := Advise(err); got != want {
					t.Errorf("%T and %T, %s: %s, want %s", a.err, b.err, name, got, want)
				}
			}
			if err := (&OutcomeUnknownError{Cause: errors.Join(a.err, b.err)}); Advise(err) != AdviceRepeatWithSameID {
				t.Errorf("an unknown outcome caused by %T and %T: %s", a.err, b.err, Advise(err))
			}
		}
	}
}

// busy is an error of another package that gives advice.
type busy struct{ error }

func (busy) Advice() Advice { return AdviceRetry }

func TestErrorsOfOthersGetCarefulAdvice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want Advice
	}{
		"none":               {nil, AdviceNone},
		"a stranger":         {errors.New("a stranger"), AdviceGiveUp},
		"a cancellation":     {fmt.Errorf("x: %w", context.Canceled), AdviceRepeatWithSameID},
		"a deadline":         {context.DeadlineExceeded, AdviceRepeatWithSameID},
		"a driver's refusal": {driver.ErrRefused, AdviceGiveUp},
		"busy documents":     {&InlineError{Conflicts: 1}, AdviceRetry},
		"one with advice":    {fmt.Errorf("x: %w", busy{errors.New("busy")}), AdviceRetry},
	} {
		if got := Advise(c.err); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for want, advice := range map[string]Advice{
		"none": AdviceNone, "already stored": AdviceAlreadyStored, "retry": AdviceRetry, "conflict": AdviceConflict,
		"give up": AdviceGiveUp, "repeat with the same id": AdviceRepeatWithSameID, "Advice(6)": 6, "Advice(-1)": -1,
	} {
		if advice.String() != want {
			t.Errorf("got %s, want %s", advice, want)
		}
	}
}

// driverError is an error that a store's driver may return.
type driverError struct{ code int }

func (*driverError) Error() string { return "the driver's" }

func TestAnUnknownOutcomeIsNoErrorThatSaysNothingWasStored(t *testing.T) {
	t.Parallel()
	low := &driverError{7}
	storage := &StorageError{Operation: "look up an append", Cause: fmt.Errorf("%w: %w", context.DeadlineExceeded, low)}
	for name, cause := range map[string]error{
		"alone":             storage,
		"wrapped":           fmt.Errorf("x: %w", storage),
		"after another":     fmt.Errorf("%w; then: %w", errors.New("x"), storage),
		"joined":            errors.Join(storage, errors.New("x")),
		"of a storage":      &StorageError{Cause: storage},
		"under a damage":    &DamagedError{Cause: storage},
		"with an expiry":    fmt.Errorf("%w; %w", &SessionExpiredError{}, storage),
		"in one of its own": &OutcomeUnknownError{Cause: storage},
	} {
		err := fmt.Errorf("update: %w", &OutcomeUnknownError{Cause: cause})
		for _, row := range advised {
			_, unknown := row.err.(*OutcomeUnknownError)
			_, expired := row.err.(*SessionExpiredError)
			want := unknown || expired && name == "with an expiry"
			if got := isOfType(err, row.err); got != want {
				t.Errorf("%s: errors.As finds a %T: %v", name, row.err, got)
			}
		}
		var found *StorageError
		if errors.As(err, &found) {
			t.Errorf("%s: errors.As finds %v", name, found)
		}
		var driver *driverError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &driver) || driver != low {
			t.Errorf("%s: the low-level cause is not found", name)
		}
		if !strings.Contains(err.Error(), cause.Error()) {
			t.Errorf("%s: the text lacks its cause: %v", name, err)
		}
	}
	plain := errors.New("plain")
	if got := errors.Unwrap(&OutcomeUnknownError{Cause: plain}); got != plain {
		t.Errorf("a cause that claims nothing is unwrapped as %v", got)
	}
	if got := errors.Unwrap(&OutcomeUnknownError{}); got != nil {
		t.Errorf("no cause is unwrapped as %v", got)
	}
}
