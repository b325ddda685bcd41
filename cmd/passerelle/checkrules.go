package main

import (
	"fmt"
	"strings"

	"passerelle/bridge/ivr"
	"passerelle/bridge/policy"
	"passerelle/configs"
)

// checkRules says whether the rules of a configuration can be used, and warns of what is probably not meant.
func checkRules(cfg configs.Config) (warnings []string, err error) {
	if cfg.Rules.File == "" {
		return nil, nil
	}
	set, err := policy.ReadFile(cfg.Rules.File)
	if err != nil {
		return nil, err
	}
	if len(set.Notices()) > 0 {
		prompts, err := ivr.Load(cfg.IVR.PromptsDir, languages(cfg.IVR))
		if err != nil {
			return nil, err
		}
		if err := haveNotices(prompts)(set); err != nil {
			return nil, err
		}
	}
	warnings = set.Warnings()
	var trunks []string
	for _, t := range cfg.SIP.Trunks {
		trunks = append(trunks, t.Name)
	}
	return append(warnings, set.UnknownTrunks(trunks)...), nil
}

// haveNotices refuses rules that name a recording which is not there: policy.Options.Check.
func haveNotices(prompts *ivr.Prompts) func(*policy.Set) error {
	return func(s *policy.Set) error {
		var missing []string
		for _, n := range s.Notices() {
			if !prompts.Has(ivr.Name(n)) {
				missing = append(missing, n)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("there is no recording of these notices in every language: %s; put your own into ivr.prompts_dir", strings.Join(missing, ", "))
		}
		return nil
	}
}
