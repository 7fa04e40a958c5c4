module github.com/hexalith/eventstores-go

go 1.26.4

require github.com/google/uuid v1.6.0
