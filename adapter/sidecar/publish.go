package sidecar

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

const (
	togetherMessages = 100
	// Service Bus refuses a request of more than 128 KiB. The sidecar adds fields to each message.
	togetherBytes = 96 << 10
	// requests is how many requests are on their way at the same time.
	requests = 16
)

// PublishMany implements [driver.ManyPublisher] by the bulk API of the sidecar. The sidecar passes
// the messages on together if the component can take them so, and else side by side. A request has
// up to 100 messages and 96 KiB.
//
// The sidecar does not say which messages of a request failed. So after a failure each of them is
// published by itself, even if the broker has it. PublishMany does not do so if the sidecar is away
// or denies access.
//
// On Azure Event Hubs, and if the sidecar is too old for the API, the errors are
// [errors.ErrUnsupported].
func (b *Broker) PublishMany(ctx context.Context, topic string, messages []driver.Message) []error {
	errs := make([]error, len(messages))
	if b.apart.Load() {
		for i := range errs {
			errs[i] = errors.ErrUnsupported
		}
		return errs
	}
	room := make(chan struct{}, requests)
	var running sync.WaitGroup
	send := func(entries []any) {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			b.publishTogether(ctx, topic, messages, entries, errs)
		})
	}
	var entries []any
	bytes := 0
	for i, m := range messages {
		e, err := entry(m)
		if err != nil {
			errs[i] = err
			continue
		}
		if len(entries) == togetherMessages || len(entries) > 0 && bytes+len(e.Data) > togetherBytes {
			send(entries)
			entries, bytes = nil, 0
		}
		e.EntryID = strconv.Itoa(i)
		entries = append(entries, e)
		bytes += len(e.Data)
	}
	if len(entries) > 0 {
		send(entries)
	}
	running.Wait()
	return errs
}

// publishTogether sends one request. The id of an entry is the number of its message.
func (b *Broker) publishTogether(ctx context.Context, topic string, messages []driver.Message, entries []any, errs []error) {
	failed := entries
	if len(entries) > 1 {
		answer := b.client.PublishEvents(ctx, b.pubsub, topic, entries)
		if answer.Error == nil {
			return
		}
		if !slices.ContainsFunc(answer.FailedEvents, isStrange) {
			failed = answer.FailedEvents
		}
		var all error
		switch status.Code(answer.Error) {
		case codes.Unimplemented:
			b.apart.Store(true)
			all = errors.ErrUnsupported
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unauthenticated, codes.PermissionDenied:
			all = failure(ctx, "publishing to "+topic, answer.Error)
		}
		if all != nil {
			for _, e := range failed {
				errs[number(e)] = all
			}
			return
		}
	}
	alone := make([]driver.Message, len(failed))
	for i, e := range failed {
		alone[i] = messages[number(e)]
	}
	for i, err := range driver.PublishEach(ctx, b, topic, alone) {
		errs[number(failed[i])] = err
	}
}

// isStrange reports whether the SDK did not find what failed among the entries.
func isStrange(e any) bool {
	_, ours := e.(dapr.PublishEventsEvent)
	return !ours
}

// number returns the number of the message of an entry that PublishMany made.
func number(e any) int {
	n, _ := strconv.Atoi(e.(dapr.PublishEventsEvent).EntryID)
	return n
}
