// Package permit lets the packages of this module call what others must not call. Its type is a
// parameter of such methods, and only packages below eventstore can name it.
package permit

// Permit is what a caller shows. Its zero value is all there is.
type Permit struct{}
