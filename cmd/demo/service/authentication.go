package service

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
	"time"
)

// sessionCookie is the cookie of a signed-in browser. Browsers accept this prefix only over TLS or
// on loopback, and only for this host.
const sessionCookie = "__Host-bank"

// The paths of the sign-in page with its form, and of the form that signs out.
const (
	signInPath  = "/sign-in"
	signOutPath = "/sign-out"
)

type holderKey struct{}

// HolderOf returns who sent a request. It returns false if the service does not ask for keys.
func HolderOf(ctx context.Context) (Holder, bool) {
	h, ok := ctx.Value(holderKey{}).(Holder)
	return h, ok
}

// isOpen reports whether a path needs no key: it shows nothing of the bank, or is part of signing
// in.
func isOpen(path string) bool {
	switch path {
	case "/livez", "/readyz", "/openapi.yaml", signInPath, signOutPath:
		return true
	}
	// A sidecar requests paths below /dapr/ when it starts. They do not exist.
	return strings.HasPrefix(path, "/assets/") || strings.HasPrefix(path, "/dapr/")
}

// isPage reports whether a path is a page, which people use with a browser.
func isPage(path string) bool {
	return path != "/metrics" && path != "/api" && !strings.HasPrefix(path, "/api/") && !isOpen(path)
}

// needs returns the role that a request needs.
func needs(r *http.Request) Role {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions:
		return Read
	case r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/close"):
		return Write
	default:
		return Admin
	}
}

// authenticated passes on a request if its sender has the necessary role.
func (s *Service) authenticated(next http.Handler) http.Handler {
	if s.keys.None() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isOpen(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		h, ok := s.sender(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="bank"`)
			if isPage(r.URL.Path) && r.Method == http.MethodGet && !strings.HasSuffix(r.URL.Path, "/live") {
				showSignIn(w, http.StatusUnauthorized, signIn{To: r.URL.RequestURI()})
				return
			}
			refuse(w, r, &Problem{Type: problemType("no-key"), Title: "A key is needed", Status: http.StatusUnauthorized,
				Detail: "This request needs an API key that the service knows. Send it in the header Authorization: Bearer KEY. Browsers sign in at /sign-in."})
			return
		}
		if need := needs(r); h.Role < need {
			refuse(w, r, &Problem{Type: problemType("not-allowed"), Title: "The key does not allow this", Status: http.StatusForbidden,
				Detail: "The key has the role " + h.Role.String() + ", but this request needs " + need.String() + ". Nothing was changed. Use another key."})
			return
		}
		ctx := context.WithValue(r.Context(), holderKey{}, h)
		origin := Origin(ctx)
		origin.UserID = h.Name
		passOn(next, w, r, context.WithValue(ctx, originKey{}, origin))
	})
}

// sender returns who sent a request: the holder of the key in its header or, for a page, of the
// browser's cookie. The API ignores cookies, so that no page can use it on behalf of its viewer.
func (s *Service) sender(r *http.Request) (Holder, bool) {
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		scheme, key, _ := strings.Cut(headers[0], " ")
		if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return Holder{}, false
		}
		return s.keys.holder(strings.TrimSpace(key))
	}
	if cookie, err := r.Cookie(sessionCookie); err == nil && isPage(r.URL.Path) {
		return s.keys.signedIn(cookie.Value, time.Now())
	}
	return Holder{}, false
}

//go:embed signin.html
var signInText string

var signInPage = template.Must(template.New("sign-in").Parse(signInText))

// signIn is the page on which a browser signs in.
type signIn struct {
	To    string // where to go after signing in
	Wrong bool   // the key is wrong
	Name  string // the signed-in holder; empty if there is none
}

func showSignIn(w http.ResponseWriter, status int, v signIn) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = signInPage.Execute(w, v) // the client may have left
}

// signInForm shows the sign-in page, or signs a browser in with the key from its form.
func (s *Service) signInForm(w http.ResponseWriter, r *http.Request) {
	if s.keys.None() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if r.Method != http.MethodPost {
		v := signIn{To: "/"}
		if cookie, err := r.Cookie(sessionCookie); err == nil {
			h, _ := s.keys.signedIn(cookie.Value, time.Now())
			v.Name = h.Name
		}
		showSignIn(w, http.StatusOK, v)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		status := http.StatusBadRequest
		if isTooLarge(err) {
			status = http.StatusRequestEntityTooLarge
		}
		showSignIn(w, status, signIn{To: "/", Wrong: true})
		return
	}
	to := r.PostForm.Get("to")
	if !isLocal(to) {
		to = "/"
	}
	h, ok := s.keys.holder(strings.TrimSpace(r.PostForm.Get("key")))
	if !ok {
		showSignIn(w, http.StatusUnauthorized, signIn{To: to, Wrong: true})
		return
	}
	setSession(w, h.session(time.Now()), int(sessionFor/time.Second))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// signOut ends a browser's session.
func signOut(w http.ResponseWriter, r *http.Request) {
	setSession(w, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func setSession(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// isLocal reports whether an address is a path of this service, not of another site.
func isLocal(to string) bool {
	return strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.ContainsAny(to, "\\\t\r\n")
}
