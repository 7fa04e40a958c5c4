package console

type check struct{}
