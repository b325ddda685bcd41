package opus

// Silence is a packet of 20 ms that says nothing: CELT, full band, mono, no data (RFC 6716, section 3.1).
const Silence = "\xf8\xff\xfe"
