package main

import (
	"os"
	"regexp"
	"strings"
)

// An argument is printed only if it can be nothing but the name of something. A URL may contain a
// password anywhere, and a password with @ / ? or # in it appears in other parts of the URL.

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// isVariable reports whether a name can be that of an environment variable.
func isVariable(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
}

// isHost reports whether a text can only be a host, with or without a port.
func isHost(text string) bool { return text != "" && strings.Trim(text, letters+".-_:[]") == "" }

// isComponent reports whether a text can be the name of a Dapr component.
func isComponent(text string) bool { return text != "" && strings.Trim(text, letters+".-_") == "" }

// isSidecar reports whether a text can only be the address of a sidecar: a host, or the plain URL
// of one.
func isSidecar(text string) bool { return text != "" && strings.Trim(text, letters+".-_:[]/") == "" }

// passwords matches the places where a URL or a data source name contains a password.
var passwords = regexp.MustCompile(`(?i):[^:]*@|\?.*=|(pass|pwd|secret|token|key)[^=]*=`)

// mayHoldPassword reports whether a text looks like a URL or data source name with a password.
func mayHoldPassword(text string) bool { return passwords.MatchString(text) }

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
