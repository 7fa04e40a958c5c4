package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
)

// maxBody is the maximum size of a request's body in bytes. No valid request needs a tenth of it.
const maxBody = 16 << 10

const idempotencyKeyHeader = "Idempotency-Key"

func badRequest(format string, args ...any) error {
	return &Problem{Type: problemType("bad-request"), Title: "The request is invalid", Status: http.StatusBadRequest,
		Detail: fmt.Sprintf(format, args...) + ". Nothing was stored. /openapi.yaml describes valid requests."}
}

// decode parses a request's body. The body must be one JSON object in UTF-8 with no other fields
// than those of T, each at most once.
func decode[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var value T
	given, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || given != "application/json" || parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
		return value, &Problem{Type: "about:blank", Title: "Unsupported Media Type", Status: http.StatusUnsupportedMediaType,
			Detail: "Send JSON in UTF-8, with the header Content-Type: application/json."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case isTooLarge(err):
		return value, &Problem{Type: problemType("too-large"), Title: "The request is too large", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("The body has more than %d bytes. Nothing was stored. Send less.", maxBody), Limit: maxBody}
	case err != nil:
		return value, badRequest("The body is incomplete")
	case len(bytes.TrimSpace(body)) == 0:
		return value, badRequest("The body is empty")
	}
	err = strict(body, fieldsOf[T]())
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err = decoder.Decode(&value); err == nil {
			if _, more := decoder.Token(); more != io.EOF {
				return value, badRequest("The body continues after the JSON object")
			}
		}
	}
	if err != nil {
		return value, badRequest("The body is not the expected JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return value, nil
}

// fieldsOf returns the JSON names of the fields of T. All fields have one.
func fieldsOf[T any]() (names []string) {
	for field := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func isTooLarge(err error) bool {
	var large *http.MaxBytesError
	return errors.As(err, &large)
}

// checkQuery refuses unknown parameters. Otherwise a mistyped parameter would be taken for an
// absent one.
func checkQuery(r *http.Request, known ...string) error {
	for name, values := range r.URL.Query() {
		if !slices.Contains(known, name) {
			return badRequest("Unknown query parameter %q", name)
		}
		if len(values) > 1 {
			return badRequest("The query parameter %q occurs twice", name)
		}
	}
	return nil
}

// queryVersion parses a version from the query. It returns absent if there is no such parameter.
func queryVersion(r *http.Request, name string, least, absent int64) (int64, error) {
	if !r.URL.Query().Has(name) {
		return absent, nil
	}
	version, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	if err != nil || version < least {
		return 0, badRequest("The query parameter %s must be a whole number from %d", name, least)
	}
	return version, nil
}

// command returns the command in the headers of a request that changes an account, with the version
// that the request expects.
func command(r *http.Request, expected *int64) (bank.Command, error) {
	c := bank.Command{ExpectedVersion: -1, Context: Origin(r.Context())}
	if expected != nil {
		if c.ExpectedVersion = *expected; *expected < 0 {
			return c, badRequest("The expectedVersion %d is negative; omit it to accept any version", *expected)
		}
	}
	switch keys := r.Header.Values(idempotencyKeyHeader); {
	case len(keys) > 1:
		return c, badRequest("The header %s occurs twice", idempotencyKeyHeader)
	case len(keys) == 1:
		switch c.ID = keys[0]; {
		case strings.TrimSpace(c.ID) == "" || len(c.ID) > 200:
			return c, badRequest("The header %s must have 1 to 200 bytes that are not all blank", idempotencyKeyHeader)
		case !utf8.ValidString(c.ID):
			return c, &eventstore.ArgumentError{Argument: idempotencyKeyHeader, Reason: "it is not valid UTF-8"} // before anything is stored
		}
	}
	return c, nil
}
