package protobuf_test

import (
	"fmt"
	"log"
	"time"

	"github.com/hexalith/eventstores-go/adapter/protobuf"
	"github.com/hexalith/eventstores-go/eventstore"
	"google.golang.org/protobuf/types/known/durationpb"
)

func Example() {
	events, err := eventstore.NewRegistry( // for eventstore.WithRegistry
		// A generated type is registered in the same way.
		eventstore.Type[*durationpb.Duration]("ShiftWorked", eventstore.WithCodec(protobuf.Codec)),
	)
	if err != nil {
		log.Fatal(err)
	}
	raw, err := events.Encode(durationpb.New(8 * time.Hour))
	fmt.Println(raw.Type, raw.ContentType, raw.Payload, err)
	event, err := events.Decode(raw)
	fmt.Println(event.(*durationpb.Duration).AsDuration(), err)
	// Output:
	// ShiftWorked application/protobuf [8 128 225 1] <nil>
	// 8h0m0s <nil>
}
