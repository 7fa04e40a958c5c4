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

// kind is the word of few that an error is named by, see error.type in the package's documentation; "" for none.
func kind(err error) string {
	if err == nil {
		return ""
	}
	ours := find(err, isOurs)
	if _, request := ours.(*eventstore.StorageError); request && ended(err) != "" {
		ours = nil // whoever waited has gone, which is not the store's fault
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

// ended is how a context ended, if an error is of that.
func ended(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "context.Canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded"
	}
	return ""
}

// grpcCode is the code with which a sidecar answered, "" if that is not what the error is of.
func grpcCode(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Code().String()
	}
	return ""
}

// isOurs reports whether an error is one of the event store's types.
func isOurs(err error) bool {
	t := typeOf(err) // one that is not exported has another inside
	return t.PkgPath() == typeOf(&eventstore.StorageError{}).PkgPath() && token.IsExported(t.Name())
}

// typeOf is the type of an error, of a pointer the one that it points to.
func typeOf(err error) reflect.Type {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// find is the outermost error that matches, of those that err consists of.
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
