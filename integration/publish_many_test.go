package integration

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

func TestMessagesThatArePublishedTogetherAreThoseThatArePublishedAlone(t *testing.T) {
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{
		servers.Component("pubsub", "pubsub.redis", "v1", map[string]string{"redisHost": r.Addr, "redisPassword": ""}),
	}})
	broker, err := sidecar.NewBroker(t.Context(), d.Client(t), "pubsub")
	if err != nil {
		t.Fatal(err)
	}
	server := redis.NewClient(&redis.Options{Addr: r.Addr})
	t.Cleanup(func() { server.Close() })

	messages := make([]driver.Message, 30)
	for i := range messages {
		stream := fmt.Sprintf("EventStores:Account:%d", i)
		m := driver.Message{
			ID: stream + "/7", Source: "bank", Type: "Opened", Subject: stream, Key: stream, Time: time.Date(2026, 1, 2, 3, 4, 5, i, time.UTC),
			Data: fmt.Appendf(nil, `{"amount":12345678901234567890.1%d}`, i),
		}
		if i%2 == 1 {
			m.TraceParent = fmt.Sprintf("00-0af7651916cd43dd8448eb211c8031%02d-b7ad6b7169203331-01", i)
		}
		if i%4 == 1 {
			m.TraceState = "vendor=1"
		}
		if i%3 == 1 {
			m.ContentType, m.Data = "text/plain", []byte("zwölf")
		}
		messages[i] = m
	}
	for i, err := range broker.PublishMany(t.Context(), "together", messages) {
		if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	for i, m := range messages {
		if err := broker.Publish(t.Context(), "alone", m); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	stored := func(topic string) map[string]map[string]any {
		t.Helper()
		entries, err := server.XRange(t.Context(), topic, "-", "+").Result()
		if err != nil || len(entries) != len(messages) {
			t.Fatalf("%s has %d messages, want %d: %v", topic, len(entries), len(messages), err)
		}
		byID := map[string]map[string]any{}
		for _, e := range entries {
			data := e.Values["data"].(string)
			var m driver.Message
			fields := map[string]any{"metadata": e.Values["metadata"]}
			for _, into := range []any{&m, &fields} {
				if err := json.Unmarshal([]byte(data), into); err != nil {
					t.Fatal(err)
				}
			}
			delete(fields, "topic")
			fields["message"] = m
			byID[m.ID] = fields
		}
		return byID
	}
	together, alone := stored("together"), stored("alone")
	for _, m := range messages {
		if !reflect.DeepEqual(together[m.ID], alone[m.ID]) {
			t.Errorf("it is published as\n%v together, and as\n%v alone", together[m.ID], alone[m.ID])
		}
		if m.ContentType == "" {
			m.ContentType = "application/json"
		}
		if got := together[m.ID]["message"]; !reflect.DeepEqual(got, m) {
			t.Errorf("it is published as\n%v, want\n%v", got, m)
		}
	}

	if err := server.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for i, err := range broker.PublishMany(t.Context(), "together", messages) {
		if err == nil {
			t.Errorf("a full Redis takes message %d", i)
		}
	}
}
