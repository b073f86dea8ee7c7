//! The terminal that a process is controlled by.

#[cfg(target_os = "linux")]
use super::Peer;

/// A device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl Device {
    /// As `st_rdev` of stat(2) has it.
    #[must_use]
    pub fn of(raw: rustix::fs::Dev) -> Self {
        Self { major: rustix::fs::major(raw), minor: rustix::fs::minor(raw) }
    }
}

#[cfg(target_os = "linux")]
impl Peer {
    /// The controlling terminal that the process has now.
    #[must_use]
    pub fn terminal(&self) -> Option<Device> {
        parse(&self.read("stat").ok()?)
    }
}

/// The seventh field of proc_pid_stat(5). The second, the program's name, may hold anything, closing parentheses too: the
/// last one ends it.
#[cfg(target_os = "linux")]
fn parse(stat: &[u8]) -> Option<Device> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let number: i32 = fields.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let number = number.cast_unsigned();
    // The minor's upper bits stand above the major.
    let device =
        Device { major: (number >> 8) & 0xfff, minor: (number & 0xff) | ((number >> 12) & 0xf_ff00) };
    Some(device).filter(|device| device.major > 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_forge_fields() {
        let device = |major, minor| Some(Device { major, minor });
        assert_eq!(parse(b"7 (a) S 1 2 3 4 (b\n) R 9 7 7 34818 7 4194304 0"), device(136, 2));
        assert_eq!(parse(b"7 (x) S 0 7 7 0 -1"), None);
        // The minor of pts/300 does not fit into eight bits.
        let wide = (300 & 0xff) | (136 << 8) | ((300 & !0xff) << 12);
        assert_eq!(parse(format!("7 (x) S 1 7 7 {wide} -1").as_bytes()), device(136, 300));
        for bad in [&b""[..], b"7 (x", b"7 (x) S", b"7 (x) S a b c d", b"7 (x) S 1 7 7"] {
            assert_eq!(parse(bad), None);
        }
    }
}
