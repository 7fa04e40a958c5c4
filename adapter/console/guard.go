package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"slices"
	"strings"
)

// minToken is how many bytes a token has at least.
const minToken = 16

// guard decides which requests are answered.
type guard struct {
	hosts   []string // empty: all
	token   []byte   // the hash of the token; nil if none is needed
	session []byte   // the hash of what the cookie of a signed-in browser holds
	cookie  string   // what it holds
}

// WithToken makes the console ask for a token of at least 16 bytes. Programs send it in the header
// "Authorization: Bearer TOKEN", and browsers ask their user once. A browser stays signed in until
// it is closed or until the console is created again. It keeps the cookie only over TLS or on a
// loopback address.
func WithToken(token string) Option {
	return func(c *console) error {
		if len(token) < minToken {
			return wrong("token", "it is shorter than 16 bytes")
		}
		c.guard.token = hashed(token)
		// The cookie does not hold the token, so that it is worth nothing elsewhere.
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(token))
		c.guard.cookie = hex.EncodeToString(mac.Sum(nil))
		c.guard.session = hashed(c.guard.cookie)
		return nil
	}
}

// WithHosts limits the console to requests for these hosts, without ports. That keeps pages of
// other sites away from a console on a loopback address: such a site can let its name point there.
func WithHosts(hosts ...string) Option {
	return func(c *console) error {
		for _, host := range hosts {
			c.guard.hosts = append(c.guard.hosts, hostname(host))
		}
		return nil
	}
}

func hashed(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// hostname returns the host of a Host header, in the form in which hosts are compared.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// guarded lets only those requests through that are allowed.
func (c *console) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(c.guard.hosts) > 0 && !slices.Contains(c.guard.hosts, hostname(r.Host)) {
			c.fail(w, r, errHost)
			return
		}
		if c.guard.token == nil || c.allowed(r) || strings.HasPrefix(r.URL.Path, c.prefix+"/assets/") || r.URL.Path == c.prefix+"/sign-in" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="console"`)
		c.showSignIn(w, r, http.StatusUnauthorized, signInView{To: r.URL.RequestURI()})
	})
}

// sessionCookie is the cookie of a signed-in browser.
const sessionCookie = "eventstores-console"

// allowed reports whether a request has the token, or comes from a browser that is signed in. The
// hashes of both are compared, which takes the same time for each wrong one.
func (c *console) allowed(r *http.Request) bool {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(hashed(strings.TrimSpace(token)), c.guard.token) == 1
	}
	cookie, err := r.Cookie(sessionCookie)
	return err == nil && subtle.ConstantTimeCompare(hashed(cookie.Value), c.guard.session) == 1
}

// signInView is the page on which a browser signs in.
type signInView struct {
	To    string // where to go then
	Wrong bool
}

func (c *console) showSignIn(w http.ResponseWriter, r *http.Request, status int, v signInView) {
	if r.Method != http.MethodGet || !c.isLocal(v.To) {
		v.To = c.prefix + "/"
	}
	if err := c.render(w, status, "signin", v); err != nil {
		c.fail(w, r, err)
	}
}

// isLocal reports whether an address is a path of the console, not of another site.
func (c *console) isLocal(to string) bool {
	return strings.HasPrefix(to, c.prefix+"/") && !strings.HasPrefix(to, "//") && !strings.ContainsAny(to, "\\\t\r\n")
}

func (c *console) signIn(w http.ResponseWriter, r *http.Request) {
	to := r.PostFormValue("to")
	if subtle.ConstantTimeCompare(hashed(strings.TrimSpace(r.PostFormValue("token"))), c.guard.token) != 1 {
		r.Method = http.MethodGet
		c.showSignIn(w, r, http.StatusUnauthorized, signInView{To: to, Wrong: true})
		return
	}
	if !c.isLocal(to) {
		to = c.prefix + "/"
	}
	c.setSession(w, c.guard.cookie, 0)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (c *console) signOut(w http.ResponseWriter, r *http.Request) {
	c.setSession(w, "", -1)
	http.Redirect(w, r, c.prefix+"/", http.StatusSeeOther)
}

func (c *console) setSession(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: value, Path: c.prefix + "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}
