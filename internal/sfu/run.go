package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/livekit-server/pkg/telemetry/prometheus"
)

// run serves until ctx ends, and writes "ready" to out when the first request was answered.
func run(ctx context.Context, o options, out io.Writer) error {
	conf, err := o.livekit()
	if err != nil {
		return err
	}
	config.InitLoggerFromConfig(&conf.Logging)
	node, err := routing.NewLocalNode(conf)
	if err != nil {
		return err
	}
	if err := prometheus.Init(string(node.NodeID()), node.NodeType()); err != nil {
		return err
	}
	server, err := service.InitializeServer(conf, node)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Start() }()

	answered := make(chan error, 1)
	go func() { answered <- answers(ctx, "http://"+o.listen.String()) }()
	for {
		select {
		case err := <-ended:
			return err
		case err := <-answered:
			if err == nil {
				fmt.Fprintln(out, "ready")
			}
			answered = nil
		case <-ctx.Done():
			if server.IsRunning() {
				server.Stop(true)
				return <-ended
			}
			return nil // still starting: nothing has been promised to anyone
		}
	}
}

// answers returns when the server at url is healthy, or the context has ended.
func answers(ctx context.Context, url string) error {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
