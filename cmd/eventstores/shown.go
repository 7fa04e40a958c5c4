package main

import (
	"os"
	"regexp"
	"strings"
)

// What is shown of an argument is only what can be nothing but the name of something: a password may be anywhere in a URL, and
// one with @ / ? or # in it stands where other things are looked for.

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// isVariable reports whether a name is of the kind that variables of the environment have.
func isVariable(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
}

// isHost reports whether a text can be a host, with or without a port, and nothing else.
func isHost(text string) bool { return text != "" && strings.Trim(text, letters+".-_:[]") == "" }

// isComponent reports whether a text can be the name of a Dapr component.
func isComponent(text string) bool { return text != "" && strings.Trim(text, letters+".-_") == "" }

// isSidecar reports whether a text can be the address of a sidecar: a host, or a URL of one with nothing else in it.
func isSidecar(text string) bool { return text != "" && strings.Trim(text, letters+".-_:[]/") == "" }

// passwords are the places at which a URL or a data source name holds a password.
var passwords = regexp.MustCompile(`(?i):[^:]*@|\?.*=|(pass|pwd|secret|token|key)[^=]*=`)

// mayHoldPassword reports whether a text has the shape of a URL or data source name with a password in it.
func mayHoldPassword(text string) bool { return passwords.MatchString(text) }

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
