package service

import (
	_ "embed"
	"net/http"
)

// description is the OpenAPI description of everything that the service serves, except the page.
//
//go:embed openapi.yaml
var description []byte

func describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description)
}
