package journal

import "testing"

func testAuditor(t *testing.T, d database) {}
