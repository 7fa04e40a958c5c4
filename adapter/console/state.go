package console

type fold struct{}
