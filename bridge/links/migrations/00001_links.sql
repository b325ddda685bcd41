-- +goose Up
CREATE TABLE links (
	id TEXT PRIMARY KEY,
	room TEXT NOT NULL,
	title TEXT NOT NULL,
	name TEXT NOT NULL,
	ask_name INTEGER NOT NULL,
	lobby INTEGER NOT NULL,
	language TEXT NOT NULL,
	begins BIGINT NOT NULL,
	ends BIGINT NOT NULL,
	uses BIGINT NOT NULL,
	used BIGINT NOT NULL,
	made BIGINT NOT NULL,
	made_by TEXT NOT NULL,
	revoked BIGINT NOT NULL
);
CREATE INDEX links_made ON links (made);
CREATE INDEX links_revoked ON links (ends) WHERE revoked <> 0;

-- +goose Down
DROP TABLE links;
