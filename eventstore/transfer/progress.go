package transfer

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Stage is a stage of a copy. A copy goes through the stages in this order.
type Stage int

const (
	Checking  Stage = iota // the source is read and checked for damage
	Comparing              // what the target already has is compared with the source
	Copying
	Verifying // what was copied is read back from the target and compared
)

// String returns "checking", "comparing", "copying" or "verifying".
func (s Stage) String() string {
	names := [...]string{"checking", "comparing", "copying", "verifying"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("Stage(%d)", int(s))
	}
	return names[s]
}

// Progress says how far a stage of a copy has come. A stage without events is left out.
type Progress struct {
	Stream   eventstore.Stream
	Stage    Stage
	Done, Of int64 // events
}

func (j *job) tell(stage Stage, done, of int64) {
	j.progress(Progress{Stream: j.stream, Stage: stage, Done: done, Of: of})
}
