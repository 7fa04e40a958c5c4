package service

import (
	"strings"
	"testing"
	"time"
)

const (
	readKey  = "read-0123456789abcdef"
	writeKey = "write-0123456789abcdef"
	adminKey = "admin-0123456789abcdef"
	keyList  = "# who may do what\nviewer read " + readKey + "\n\n  teller  write\t" + writeKey + " ; boss admin " + adminKey + "\r\n"
)

func newKeys(t *testing.T, list string) *Keys {
	t.Helper()
	keys, err := ParseKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestAListOfKeysIsRead(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, keyList)
	for key, want := range map[string]Holder{
		readKey: {Name: "viewer", Role: Read}, writeKey: {Name: "teller", Role: Write}, adminKey: {Name: "boss", Role: Admin},
	} {
		if h, ok := keys.holder(key); !ok || h.Name != want.Name || h.Role != want.Role {
			t.Errorf("%s is that of %+v, %v", key, h, ok)
		}
	}
	for _, none := range []string{"", "x", readKey[1:], readKey + "x", strings.ToUpper(readKey), "viewer"} {
		if h, ok := keys.holder(none); ok {
			t.Errorf("%q is that of %+v", none, h)
		}
	}
	for _, empty := range []string{"", " \n;;\n", "# ada write " + writeKey} {
		if keys := newKeys(t, empty); !keys.None() {
			t.Errorf("%q has keys", empty)
		}
	}
	if none := (*Keys)(nil); !none.None() {
		t.Error("no list has keys")
	}
}

func TestAListOfKeysThatCanNotBeIsRefusedAndNotShown(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef-secret"
	for list, says := range map[string]string{
		secret:                          "1 parts",
		"ada " + secret:                 "2 parts",
		"ada write " + secret + " more": "4 parts",
		"ada root " + secret:            "role",
		"ada nobody " + secret:          "role",
		"ada Write " + secret:           "role",
		"ada write " + secret[:15]:      "16 bytes",
		"a\"b write " + secret:          "name",
		"ada read " + secret + "\nada write x" + secret: "key 2 of the list: the name",
		"ada read " + secret + ";eve write " + secret:   "key 2 of the list: the name or the key occurs twice",
	} {
		keys, err := ParseKeys(list)
		if err == nil || keys != nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret[:15]) {
			t.Errorf("%s: %v, want that it says %q", list, err, says)
		}
	}
}

func TestASessionIsGoodForItsKeyAndItsTime(t *testing.T) {
	t.Parallel()
	keys, now := newKeys(t, keyList), time.Unix(1_800_000_000, 0)
	teller, _ := keys.holder(writeKey)
	session := teller.session(now)
	if h, ok := keys.signedIn(session, now.Add(sessionFor-time.Second)); !ok || h.Name != "teller" || h.Role != Write {
		t.Errorf("signed in as %+v, %v", h, ok)
	}
	if strings.Contains(session, writeKey) {
		t.Error("a session tells the key")
	}
	if _, ok := keys.signedIn(session, now.Add(sessionFor)); ok {
		t.Error("a session does not end")
	}
	parts := strings.Split(session, ".")
	viewer, _ := keys.holder(readKey)
	other := strings.Split(viewer.session(now), ".")
	for name, forged := range map[string]string{
		"nothing": "", "the key": writeKey, "a later end": parts[0] + ".9999999999." + parts[2], "another's name": other[0] + "." + parts[1] + "." + parts[2],
		"another's proof": parts[0] + "." + parts[1] + "." + other[2], "no proof": parts[0] + "." + parts[1] + ".", "more": session + ".x", "an end that is none": parts[0] + ".x." + parts[2],
	} {
		if h, ok := keys.signedIn(forged, now); ok {
			t.Errorf("%s: signed in as %+v", name, h)
		}
	}
	if h, ok := newKeys(t, "teller write another-key-of-teller").signedIn(session, now); ok {
		t.Errorf("the key was replaced, the session is still that of %+v", h)
	}
}
