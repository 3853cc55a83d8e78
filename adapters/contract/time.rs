//! Points in time, in milliseconds. The adapters own no clock: every time comes in as an argument or from a webhook.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    /// From whole seconds, as most providers write them.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Reads an RFC 3339 timestamp with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }

    /// This time moved by a number of milliseconds, which may be negative.
    pub const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Writes RFC 3339 into a buffer without allocating: `2026-11-20T10:15:30.123Z`, without a fraction when it is zero.
    pub fn write(self, out: &mut [u8; 24]) -> &str {
        // Howard Hinnant's days-to-civil algorithm; the years 0001 to 9999 are all RFC 3339 can
        // write, less the last day, which our reader does not take.
        let (secs, millis) = (self.0.div_euclid(1000), self.0.rem_euclid(1000));
        let secs = secs.clamp(-62_135_596_800, 253_402_207_200);
        let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let digits = |out: &mut [u8], mut value: i64| {
            for slot in out.iter_mut().rev() {
                *slot = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        out.copy_from_slice(b"0000-00-00T00:00:00.000Z");
        digits(&mut out[0..4], year);
        digits(&mut out[5..7], month);
        digits(&mut out[8..10], day);
        digits(&mut out[11..13], rest / 3600);
        digits(&mut out[14..16], rest / 60 % 60);
        digits(&mut out[17..19], rest % 60);
        if millis == 0 {
            out[19] = b'Z';
            return std::str::from_utf8(&out[..20]).expect("digits are ASCII");
        }
        digits(&mut out[20..23], millis);
        std::str::from_utf8(&out[..]).expect("digits are ASCII")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; 24]))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; 24]))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("expected an RFC 3339 time such as 2026-11-20T10:15:30Z"))
    }
}

impl schemars::JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn it_writes_what_jiff_reads() {
        for millis in [0, 1, 999, 1000, 1_795_169_730_123, -1, -62_135_596_800_000, 951_782_400_000, 253_402_207_200_999] {
            let time = Time(millis);
            assert_eq!(Time::parse(&time.to_string()), Some(time), "{time}");
        }
    }
}
