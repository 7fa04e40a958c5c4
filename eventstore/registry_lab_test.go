package eventstore

import "context"

// encode encodes a value for a stream, without a context.
func (r *Registry) encode(argument string, stream Stream, value any) (Raw, error) {
	return r.encodeAt(context.Background(), argument, &About{Stream: stream}, value)
}

// decode decodes a record of a stream, without a context.
func (r *Registry) decode(stream Stream, key string, version int64, raw Raw) (any, error) {
	value, _, err := r.decodeAt(context.Background(), &About{Stream: stream, Version: version}, key, raw)
	return value, err
}
