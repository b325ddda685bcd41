package configs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"passerelle/internal/yamldoc"
)

// maxSecret is the most bytes that a file with a secret may have.
const maxSecret = 64 << 10

// readSecrets reads the file of every secret that has one and was not given itself.
func (c *Config) readSecrets() error {
	err := errors.Join(
		readSecret("livekit.api_secret_file", c.LiveKit.APISecretFile, &c.LiveKit.APISecret),
		readSecret("directory.roomkit.token_file", c.Directory.Roomkit.TokenFile, &c.Directory.Roomkit.Token),
		readSecret("rules.service.token_file", c.Rules.Service.TokenFile, &c.Rules.Service.Token),
		readSecret("journal.password_file", c.Journal.PasswordFile, &c.Journal.Password),
		readSecret("guests.link_secret_file", c.Guests.LinkSecretFile, &c.Guests.LinkSecret),
	)
	for i := range c.SIP.Trunks {
		d := &c.SIP.Trunks[i].Digest
		key := fmt.Sprintf("sip.trunks[%d].digest.password_file", i)
		err = errors.Join(err, readSecret(key, d.PasswordFile, &d.Password))
	}
	for i := range c.Sites {
		s := &c.Sites[i]
		err = errors.Join(err, readSecret(fmt.Sprintf("sites[%d].api_secret_file", i), s.APISecretFile, &s.APISecret))
	}
	return err
}

// readSecret reads one file without the end of its last line. A file that every user of the machine can read keeps no secret, and is refused.
func readSecret(key, path string, secret *Secret) error {
	if path == "" || *secret != "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %s: expected a file", key, quote(path))
	}
	if info.Mode().Perm()&0o004 != 0 {
		return fmt.Errorf("%s: %s: every user can read this file (%v): expected mode 0600 or 0640", key, quote(path), info.Mode().Perm())
	}
	b, err := yamldoc.ReadFile(path, maxSecret)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return fmt.Errorf("%s: %s: the file is empty", key, quote(path))
	}
	*secret = Secret(text)
	return nil
}
