package livekit

import (
	"context"
	"fmt"
	"net/http"

	"passerelle/bridge"
)

// Ready asks the server whether it is there. The error wraps bridge.ErrSFU.
func (c *Client) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/", nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", bridge.ErrSFU, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", bridge.ErrSFU, res.Status)
	}
	return nil
}
