package sidecar

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// failure makes what the SDK returned say more: it matches the context's error where that is why, and
// [driver.ErrRefused] where the sidecar certainly turned the request down before any store saw it. In
// doubt it does not: an error wrongly taken for a refusal would lose data.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx), ctx.Err())
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented:
		return errors.Join(err, driver.ErrRefused)
	case codes.Unauthenticated, codes.PermissionDenied:
		return fmt.Errorf("the sidecar does not let this client in, is DAPR_API_TOKEN the sidecar's? %w", errors.Join(err, driver.ErrRefused))
	case codes.ResourceExhausted:
		// Of a write's own size; answers to writes are empty.
		if strings.Contains(err.Error(), "larger than max") {
			return fmt.Errorf("the request is larger than the sidecar takes, does its --max-body-size differ from 4 MiB? see WithMaxRequestBytes: %w", errors.Join(err, driver.ErrRefused))
		}
	}
	return err
}
