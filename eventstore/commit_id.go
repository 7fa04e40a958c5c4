package eventstore

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// newCommitID returns an id that no other commit has: a UUID of version 7 with the time of the
// clock. uuid.NewV7 remembers the latest time that any code of the process used. So a clock that
// was far ahead once would make the times of all later commits wrong, and two simulated processes
// would share a clock.
func newCommitID() (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", err
	}
	var now [8]byte
	binary.BigEndian.PutUint64(now[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], now[2:])
	id[6] = 0x70 | id[6]&0x0f // the version
	return id.String(), nil
}

// timeOf returns when a commit was made, to the millisecond, as its id tells.
func timeOf(commit string) time.Time {
	id, err := uuid.Parse(commit)
	if err != nil || id.Version() != 7 {
		return time.Time{}
	}
	return time.Unix(id.Time().UnixTime()).UTC()
}
