package eventstore

import (
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// record is one event in its stored form: its final bytes and the fields that the protocol needs.
// The bytes never change after the commit. Every later write of the event writes the same bytes.
type record struct {
	version       int64
	commit        string
	idempotencyID string
	data          []byte
	ticket        journal.Ticket // of the commit, if this is its last event and it is in a journal
}

// encodeEvent encodes one event, whose metadata is complete.
func encodeEvent(name, commit string, m Metadata, raw Raw) record {
	return encodeLastEvent(name, commit, journal.Ticket{}, m, raw)
}

// encodeLastEvent encodes the last event of a commit, which carries the commit's ticket if there is
// one.
func encodeLastEvent(name, commit string, ticket journal.Ticket, m Metadata, raw Raw) record {
	version := m.Context.SequenceNumber
	w := frame.New(kindEvent, name, len(raw.Payload)+256)
	w.Number("version", version)
	w.Text("commit", commit)
	if !ticket.IsZero() {
		w.Text("ticket", ticket.String())
	}
	w.Text("id", m.Message.ID)
	w.Text("type", raw.Type)
	w.Number("schema", int64(raw.SchemaVersion))
	w.Text("content", raw.ContentType)
	w.Time("created", m.Message.Created)
	w.Text("correlation", m.Context.CorrelationID)
	w.Text("causation", m.Context.CausationID)
	w.Text("user", m.Context.UserID)
	if !m.Context.Timestamp.Equal(m.Message.Created) {
		w.Time("timestamp", m.Context.Timestamp)
	}
	w.Text("session", m.Context.SessionID)
	w.Text("idempotency", m.Context.IdempotencyID)
	for _, scope := range m.Context.Scopes {
		w.Line("scope", scope)
	}
	w.Custom(m.Custom)
	return record{
		version:       version,
		commit:        commit,
		idempotencyID: m.Context.IdempotencyID,
		ticket:        ticket,
		data:          w.Finish(raw.Payload),
	}
}

// decodeEvent decodes the record of one event. The payload shares the memory of data.
func decodeEvent(stream Stream, name string, data []byte) (record, Metadata, Raw, error) {
	var (
		r      = record{data: data}
		raw    Raw
		schema int64
		m      Metadata
	)
	payload, err := frame.Read(data, kindEvent, name, func(field, value string) error {
		switch field {
		case "version":
			return frame.ParseNumber(value, &r.version)
		case "commit":
			r.commit = value
		case "ticket":
			var err error
			r.ticket, err = journal.ParseTicket(value)
			return err
		case "id":
			m.Message.ID = value
		case "type":
			raw.Type = value
		case "schema":
			return frame.ParseNumber(value, &schema)
		case "content":
			raw.ContentType = value
		case "created":
			return frame.ParseTime(value, &m.Message.Created)
		case "correlation":
			m.Context.CorrelationID = value
		case "causation":
			m.Context.CausationID = value
		case "user":
			m.Context.UserID = value
		case "timestamp":
			return frame.ParseTime(value, &m.Context.Timestamp)
		case "session":
			m.Context.SessionID = value
		case "idempotency":
			m.Context.IdempotencyID = value
		case "scope":
			m.Context.Scopes = append(m.Context.Scopes, value)
		default:
			return frame.ReadCustom(&m.Custom, field, value)
		}
		return nil
	})
	switch {
	case err != nil:
		return record{}, Metadata{}, Raw{}, err
	case r.version < 1 || r.commit == "" || raw.Type == "":
		return record{}, Metadata{}, Raw{}, errors.New("the header lacks version, commit or type")
	case !r.ticket.IsZero() && r.ticket.To != r.version:
		return record{}, Metadata{}, Raw{}, fmt.Errorf("version %d has a ticket for version %d", r.version, r.ticket.To)
	}
	raw.SchemaVersion, raw.Payload = int(schema), payload
	m.Message.Type, m.Message.SchemaVersion = raw.Type, raw.SchemaVersion
	m.Message.AggregateType, m.Message.AggregateID = stream.Type, stream.ID
	m.Context.PartitionID = stream.Database
	m.Context.SequenceNumber = r.version
	if m.Context.Timestamp.IsZero() {
		m.Context.Timestamp = m.Message.Created
	}
	r.idempotencyID = m.Context.IdempotencyID
	return r, m, raw, nil
}

// decodeEventAt decodes a record like decodeEvent and checks that it holds the given version.
func decodeEventAt(stream Stream, name string, version int64, data []byte) (record, Metadata, Raw, error) {
	r, m, raw, err := decodeEvent(stream, name, data)
	if err == nil && r.version != version {
		err = fmt.Errorf("it holds version %d", r.version)
	}
	return r, m, raw, err
}
