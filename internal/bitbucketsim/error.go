package bitbucketsim

import (
	"fmt"
	"net/http"
	"net/url"
	"unicode/utf16"
)

// apiError is an error answer of the REST interface.
type apiError struct {
	status    int
	context   string // the field at fault, for validation errors
	message   string
	exception string // Java class below com.atlassian, empty for none
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.status, e.message) }

// errorBody is the usual error document.
type errorBody struct {
	Errors []errorItem `json:"errors"`
}

type errorItem struct {
	Context       *string `json:"context"`
	Message       string  `json:"message"`
	ExceptionName *string `json:"exceptionName"`
}

func (e *apiError) body() errorBody {
	item := errorItem{Message: e.message}
	if e.context != "" {
		item.Context = &e.context
	}
	if e.exception != "" {
		name := "com.atlassian." + e.exception
		item.ExceptionName = &name
	}
	return errorBody{[]errorItem{item}}
}

const (
	notPermitted = "You are not permitted to access this resource"
	badLogin     = "Authentication failed. Please check your credentials and try again."
	twoStep      = "Two-step verification is required for your account. Set it up in a browser and try again."
	unlicensed   = "You are not currently licensed to use Bitbucket.\nPlease contact your administrator."
)

func errForbidden() *apiError {
	return &apiError{http.StatusUnauthorized, "", notPermitted, "bitbucket.AuthorisationException"}
}

func (s *Server) errAnonymous() *apiError {
	if s.ver.authRequired() {
		return &apiError{http.StatusUnauthorized, "", notPermitted, "plugins.rest.api.security.exception.AuthenticationRequiredException"}
	}
	return errForbidden()
}

func errBadLogin() *apiError {
	return &apiError{http.StatusUnauthorized, "", badLogin, "bitbucket.auth.IncorrectPasswordAuthenticationException"}
}

func errUnlicensed() *apiError {
	return &apiError{http.StatusUnauthorized, "", unlicensed, "bitbucket.auth.NoAccessAuthenticationException"}
}

// errTwoStep has a class name of our own making: none was recorded.
func errTwoStep() *apiError {
	return &apiError{http.StatusUnauthorized, "", twoStep, "bitbucket.auth.TwoStepVerificationRequiredException"}
}

func errNoProject(key string) *apiError {
	return &apiError{http.StatusNotFound, "", "Project " + key + " does not exist.", "bitbucket.project.NoSuchProjectException"}
}

func errNoRepo(key, slug string) *apiError {
	return &apiError{http.StatusNotFound, "", "Repository " + key + "/" + slug + " does not exist.", "bitbucket.repository.NoSuchRepositoryException"}
}

func errNoUser(slug string) *apiError {
	return &apiError{http.StatusNotFound, "", "User " + slug + " does not exist.", "bitbucket.user.NoSuchUserException"}
}

func errNoCommit(id, slug string) *apiError {
	msg := fmt.Sprintf("Commit '%s' does not exist in repository '%s'.", id, slug)
	return &apiError{http.StatusNotFound, "", msg, "bitbucket.commit.NoSuchCommitException"}
}

func errNoPath(path, at string) *apiError {
	msg := fmt.Sprintf("The path \"%s\" does not exist at revision \"%s\"", path, at)
	return &apiError{http.StatusNotFound, "", msg, "bitbucket.content.NoSuchPathException"}
}

// tooLong counts as Java does.
func tooLong(text string, most int) bool { return len(utf16.Encode([]rune(text))) > most }

func optionalLink(text string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && u.IsAbs() && u.Host != ""
}

func errInvalid(field, message string) *apiError {
	return &apiError{http.StatusBadRequest, field, message, ""}
}

// errPlain has no exception name: unknown routes, tags, tokens, and ids that are not numbers.
func errPlain(status int, message string) *apiError {
	return &apiError{status: status, message: message}
}
