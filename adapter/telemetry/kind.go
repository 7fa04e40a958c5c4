package telemetry

import (
	"context"
	"errors"
	"go/token"
	"reflect"

	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// kind returns the error.type of an error as the package documentation describes it, or "" for nil.
func kind(err error) string {
	if err == nil {
		return ""
	}
	ours := find(err, isOurs)
	if _, request := ours.(*eventstore.StorageError); request && ended(err) != "" {
		ours = nil // the caller gave up, so the store did not fail
	}
	if ours != nil {
		return typeOf(ours).Name()
	}
	if code := grpcCode(err); code != "" {
		return code
	}
	if end := ended(err); end != "" {
		return end
	}
	if errors.Is(err, driver.ErrRefused) {
		return "refused"
	}
	named := find(err, func(err error) bool {
		in := typeOf(err).PkgPath()
		return in != "" && in != "errors" && in != "fmt"
	})
	if named == nil {
		return "_OTHER"
	}
	return typeOf(named).String()
}

// ended says how a context ended, or "" if the error does not come from one.
func ended(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "context.Canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded"
	}
	return ""
}

// grpcCode returns the gRPC code of a sidecar's answer, or "" if the error does not contain one.
func grpcCode(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Code().String()
	}
	return ""
}

// isOurs reports whether an error has an exported type of package eventstore.
func isOurs(err error) bool {
	t := typeOf(err) // an unexported type wraps an exported one
	return t.PkgPath() == typeOf(&eventstore.StorageError{}).PkgPath() && token.IsExported(t.Name())
}

// typeOf returns the type of an error, without the pointer.
func typeOf(err error) reflect.Type {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// find returns the outermost error in err's tree that matches.
func find(err error, matches func(error) bool) error {
	if err == nil || matches(err) {
		return err
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return find(e.Unwrap(), matches)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if found := find(one, matches); found != nil {
				return found
			}
		}
	}
	return nil
}
