package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"passerelle/admin/tokens"
	"passerelle/bridge/journal"
)

// nobody is the actor of what somebody did whose name is not known. It cannot be the name of a token.
const nobody = "(nobody)"

// record writes a request to the journal, if it changed something, showed what is personal, or was refused. Of those who are refused because they ask
// too often, only the first one in a row is written. Nothing of a token is.
func (a *api) record(r *http.Request, by *caller, rt route, status int, p *problem) {
	a.metrics.requests.WithLabelValues(rt.path, strconv.Itoa(status)).Inc()
	if p == nil && !rt.audit || p != nil && p.again {
		return
	}
	e := journal.Entry{
		Time: time.Now(), Kind: journal.Admin, Actor: by.token.Name, Outcome: outcome(status), Address: address(by.address),
		Call: clip(r.PathValue("id")), Room: clip(r.PathValue("room")), Fields: by.fields,
	}
	if e.Actor == "" {
		e.Actor = nobody
	}
	e.Fields["method"], e.Fields["route"], e.Fields["status"], e.Fields["request"] = clip(r.Method), rt.path, strconv.Itoa(status), by.id
	if by.certificate != "" {
		e.Fields["certificate"] = by.certificate
	}
	if p != nil {
		e.Fields["problem"] = strings.TrimPrefix(p.Type, problemType)
	}
	a.Journal.Write(e)
	a.log.Info("admin API", "actor", e.Actor, "method", r.Method, "route", rt.path, "status", status, "request", by.id, "from", e.Address)
}

// outcome is the word for a status.
func outcome(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "done"
	case status < http.StatusInternalServerError:
		return "refused"
	}
	return "failed"
}

// tokensRead records that the file of tokens was read. It is called with every change of it.
func (a *api) tokensRead(n tokens.News) {
	e := journal.Entry{Time: time.Now(), Kind: journal.Config, Outcome: "taken", Fields: map[string]string{"file": "http.tokens_file"}}
	if n.Err != nil {
		a.log.Warn("the admin API knows nobody: the file of tokens cannot be used", "error", n.Err)
		e.Outcome = "refused"
	} else {
		a.log.Info("the file of tokens was read", "tokens", n.Tokens)
		e.Fields["hash"], e.Fields["tokens"] = n.Hash, strconv.Itoa(n.Tokens)
	}
	a.Journal.Write(e)
}
