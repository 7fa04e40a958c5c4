package bench

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"
)

// memoryUse is by how much the heap of this process grew at most while it read a stream.
type memoryUse struct {
	store       string
	long, short float64 // for a long stream and for one batch, in MiB
}

// memoryLimit is how much more a long stream may take than a short one, in MiB.
const memoryLimit = 64

func (m memoryUse) met() bool { return m.long-m.short < memoryLimit }

func (m memoryUse) row() string {
	return fmt.Sprintf("bench case=memory store=%s ours_mib=%.2f floor_mib=%.2f difference_mib=%.2f", m.store, m.long, m.short, m.long-m.short) +
		verdict(true, fmt.Sprintf("<%dMiB", memoryLimit), m.met())
}

// hasMemoryOfItsOwn excludes the store that keeps its events in the heap that is measured.
func hasMemoryOfItsOwn(s *store) bool { return s.name != "embedded/memory" }

// measureMemory reads a long stream and a short one.
func measureMemory(ctx context.Context, l *lab) (memoryUse, error) {
	peak := func(id string, want int) (most float64, err error) {
		r := l.events.Reader(l.events.Stream(aggregate, id))
		for range 3 {
			used, err := peakHeap(func() error {
				n, err := drain(r.Read(ctx))
				if err == nil && n != want {
					err = fmt.Errorf("read %d events, want %d", n, want)
				}
				return err
			})
			if err != nil {
				return 0, err
			}
			most = max(most, used)
		}
		return most, nil
	}
	short, err := peak(l.stream(l.batch), l.batch)
	if err != nil {
		return memoryUse{}, err
	}
	id := l.longStream()
	version, err := l.version(id)(ctx)
	if err != nil {
		return memoryUse{}, err
	}
	long, err := peak(id, version)
	return memoryUse{store: l.name, short: short, long: long}, err
}

// peakHeap runs f and returns by how much the heap grew at most meanwhile, garbage included, in
// MiB.
func peakHeap(f func() error) (float64, error) {
	heap := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	before := heap()
	most, stop, done := before, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for {
			most = max(most, heap())
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	err := f()
	close(stop)
	<-done
	return float64(most-before) / (1 << 20), err
}
