package journal

import (
	"database/sql"
	"fmt"
	"os"

	"passerelle/configs"
)

// StateDir is the directory in which a node keeps what it has to remember: journal.dir, or what stands for it where that is empty. It is made if it is
// not there.
func StateDir(cfg configs.Journal) (string, error) {
	dir, err := stateDir(cfg.Dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("journal.dir: %w", err)
	}
	return dir, nil
}

// OpenPostgres prepares connections to the journal's PostgreSQL database, for what nodes that share it keep there besides. journal.url must name one.
func OpenPostgres(cfg configs.Journal, dial Dial) (*sql.DB, error) {
	s, err := openPostgres(cfg, dial)
	if err != nil {
		return nil, err
	}
	return s.write, nil
}
