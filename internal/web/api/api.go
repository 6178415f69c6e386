package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"magpie"
	"magpie/internal/access"
	"magpie/internal/incident"
	"magpie/internal/perimeter"
	"magpie/internal/scan"
	"magpie/internal/store"
)

const (
	prefix       = "/api/v1"
	maxBodyBytes = 256 << 10
)

// Options is what the API serves.
type Options struct {
	DB        *store.DB
	Access    *access.Service
	Incidents *incident.Service
	Perimeter *perimeter.Service
	Scans     *scan.Service
	PublicURL string
	// InsightKey is the key of our Code Insights reports, which a required report at Bitbucket must name.
	InsightKey string
	Version    string
	Log        *slog.Logger
}

// server is the API while it is put together and served.
type server struct {
	Options
	huma huma.API
	ops  []operation
	errs []error // operations that can't be served
}

// New returns the handler for everything below /api/v1/. It fails if an operation has no permission.
func New(o Options) (http.Handler, error) {
	mux := http.NewServeMux()
	s, err := newServer(o, mux)
	if err != nil {
		return nil, err
	}
	mux.HandleFunc(prefix+"/", s.serveUnknown)
	return harden(mux), nil
}

func newServer(o Options, mux *http.ServeMux) (*server, error) {
	config := huma.DefaultConfig("Magpie", o.Version)
	config.Info.Description = "Integrations, repositories, scans and incidents of a Magpie server. " +
		"Make a token under Settings, or with magpie user token, and send it as a bearer token."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/openapi", "", ""
	config.CreateHooks = nil // no links to schemas in answers
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{withoutValues}
	config.Servers = []*huma.Server{{URL: o.PublicURL + prefix}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	s := &server{Options: o, huma: humago.NewWithPrefix(mux, prefix, config)}
	s.identity()
	s.integrations()
	s.tuning()
	s.repositories()
	s.coverage()
	s.scans()
	s.incidents()
	return s, errors.Join(s.errs...)
}

// SignedIn marks an operation that every user may use, whatever the role.
const SignedIn access.Permission = "signed_in"

// operation says where an operation is and who may use it.
type operation struct {
	id      string
	method  string
	path    string // below /api/v1
	need    access.Permission
	tag     string
	summary string
	status  int // of success; 0 means 200, or 204 if there is nothing to answer
}

// nothing is the answer of operations that have none.
type nothing struct{}

// answer is what huma makes a response of.
type answer[O any] struct{ Body O }

// describe notes an operation and returns what huma needs to know of it; false if it can't be served.
func (s *server) describe(op *operation) (huma.Operation, bool) {
	if op.need == "" {
		s.errs = append(s.errs, fmt.Errorf("the operation %s has no permission", op.id))
		return huma.Operation{}, false
	}
	if op.status == 0 {
		op.status = http.StatusOK
	}
	s.ops = append(s.ops, *op)
	return huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Tags: []string{op.tag}, Summary: op.summary, DefaultStatus: op.status,
		Description: "Needs " + permissionText(op.need) + ".", MaxBodyBytes: maxBodyBytes,
		Security: []map[string][]string{{"token": {}}}, Middlewares: huma.Middlewares{s.guard(op.need)},
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity},
	}, true
}

// add registers an operation. handle gets the user, who has the permission.
func add[I, O any](s *server, op operation, handle func(ctx context.Context, user magpie.User, in *I) (O, error)) {
	var empty O
	_, none := any(empty).(nothing)
	if op.status == 0 && none {
		op.status = http.StatusNoContent
	}
	described, ok := s.describe(&op)
	if !ok {
		return
	}
	call := func(ctx context.Context, in *I) (O, error) {
		out, err := handle(ctx, userOf(ctx), in)
		if err != nil {
			return out, s.problem(ctx, err)
		}
		return out, nil
	}
	if none {
		huma.Register(s.huma, described, func(ctx context.Context, in *I) (*struct{}, error) {
			_, err := call(ctx, in)
			return nil, err
		})
		return
	}
	huma.Register(s.huma, described, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := call(ctx, in)
		return &answer[O]{Body: out}, err
	})
}

func permissionText(need access.Permission) string {
	if need == SignedIn {
		return "a valid token"
	}
	return "the permission " + string(need)
}

type userKey struct{}

// userOf returns the user that guard found.
func userOf(ctx context.Context) magpie.User {
	u, _ := ctx.Value(userKey{}).(magpie.User)
	return u
}

// guard lets a request pass if it bears the token of a user with the permission.
func (s *server) guard(need access.Permission) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		user, err := s.authenticate(hc)
		if err == nil && need != SignedIn {
			err = access.Require(user, need)
		}
		if err != nil {
			problem := s.problem(hc.Context(), err)
			if problem.Status == http.StatusUnauthorized {
				hc.SetHeader("WWW-Authenticate", `Bearer realm="magpie"`)
			}
			s.write(hc, problem)
			return
		}
		next(huma.WithValue(hc, userKey{}, user))
	}
}

func (s *server) authenticate(hc huma.Context) (magpie.User, error) {
	scheme, token, _ := strings.Cut(hc.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return magpie.User{}, &magpie.Error{
			Kind: magpie.KindUnauthorized, Message: "this needs an API token",
			Hint: "make one under Settings and send it as Authorization: Bearer …",
		}
	}
	return s.Access.AuthenticateBearer(hc.Context(), magpie.NewSecret(strings.TrimSpace(token)))
}

// serveUnknown answers for everything that is no operation.
func (s *server) serveUnknown(w http.ResponseWriter, r *http.Request) {
	hc := humago.NewContext(&huma.Operation{}, r, w)
	s.write(hc, s.problem(r.Context(), &magpie.Error{
		Kind: magpie.KindNotFound, Message: "there is no such operation", Hint: "see " + prefix + "/openapi.json",
	}))
}

// harden adds the headers that every answer needs.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}
