package policy

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// maxDigits is the length of the longest E.164 number (ITU-T E.164, 6.2).
const maxDigits = 15

// countryOf is the country that an E.164 number belongs to, as two letters of ISO 3166-1: "FR". Numbers of no country (+800 …) give "001"; what is
// no international number gives "". Where several countries share a code, the digits after it decide, and those that no country has given out
// count as the largest's.
func countryOf(number string) string {
	if !isPlusDigits(number) || len(number) > 1+maxDigits {
		return ""
	}
	code := 0
	for i := 1; i < len(number) && i <= 3; i++ {
		code = code*10 + int(number[i]-'0')
		regions := phonenumbers.GetRegionCodesForCountryCode(code)
		if len(regions) == 1 {
			return regions[0]
		}
		if len(regions) > 1 {
			if n, err := phonenumbers.Parse(number, ""); err == nil {
				if region := phonenumbers.GetRegionCodeForNumber(n); region != "" {
					return region
				}
			}
			return regions[0]
		}
	}
	return ""
}

// isCountry tells whether there are numbers of a country.
func isCountry(code string) bool {
	return code == "001" || phonenumbers.GetSupportedRegions()[strings.ToUpper(code)]
}
