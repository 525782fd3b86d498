//! Units, and numbers as people read them.

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Events in a second.
    PerSecond,
    /// Microseconds.
    Micros,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// A part of something else.
    Ratio,
}

impl Unit {
    /// How it is called in JSON.
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::Micros => "us",
            Self::Seconds => "s",
            Self::Bytes => "B",
            Self::Count | Self::Ratio => "1",
        }
    }

    /// A number of it for people.
    pub(super) fn show(self, number: f64) -> String {
        const KIB: f64 = 1024.0;
        match self {
            Self::PerSecond => format!("{} /s", grouped(number)),
            Self::Micros => format!("{number:.2} µs"),
            Self::Seconds => format!("{number:.3} s"),
            Self::Bytes if number < KIB => format!("{number:.0} B"),
            Self::Bytes if number < KIB * KIB => format!("{:.2} KiB", number / KIB),
            Self::Bytes => format!("{:.1} MiB", number / KIB / KIB),
            Self::Count => grouped(number),
            Self::Ratio => format!("{number:.3}"),
        }
    }
}

/// A whole number with commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count as a number to calculate with; beyond 2^53, its last digits are lost.
#[allow(clippy::cast_precision_loss, reason = "no measurement has 16 digits that mean something")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}
