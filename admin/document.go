package admin

import (
	_ "embed"
	"net/http"

	"go.yaml.in/yaml/v3"
)

// document describes the API: OpenAPI 3.1.
//
//go:embed openapi.yaml
var document []byte

// documentRoutes are the description of the API, which is no secret.
func documentRoutes() []route {
	return []route{
		{path: "/api/v1/openapi.yaml", handle: func(w http.ResponseWriter, _ *http.Request, _ *caller) (any, error) {
			w.Header().Set("Content-Type", "application/yaml")
			_, _ = w.Write(document) // the client is gone if it fails
			return written{}, nil
		}},
		{path: "/api/v1/openapi.json", handle: func(http.ResponseWriter, *http.Request, *caller) (any, error) {
			var tree map[string]any
			if err := yaml.Unmarshal(document, &tree); err != nil {
				return nil, err
			}
			return tree, nil
		}},
	}
}
