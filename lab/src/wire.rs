//! Frames on the serial lines between the lab's host side and a guest's init.
//!
//! Only the bytes: no threads, no policy. A frame is a twelve-byte header
//! (kind, stream or zero, payload length, id, checksum) and its payload.

use std::io::{self, Read, Write};

/// The most payload bytes in one frame.
pub const MAX_PAYLOAD: usize = 16 * 1024;

/// The most payload bytes that the host may have on the way to the guest on one line.
///
/// A guest's UART has no flow control and its tty layer drops what does not fit
/// into 64 KiB. [`Frame::Credit`] gives bytes back; frames without a payload need none.
pub const WINDOW: usize = 16 * 1024;

/// The most payload bytes that the host puts into one frame: a quarter of the window, so that
/// the line never stands still between two frames.
pub const CHUNK: usize = WINDOW / 4;

const HEADER: usize = 12;

/// Where a command wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Guest: init runs on the kernel of this release.
    Hello(String),
    /// Guest: the command wrote.
    Output(Stream, Vec<u8>),
    /// Guest: the command ended with this code; 128 + n for signal n.
    Exit(u8),
    /// Guest: init could not do what the job asks.
    Fault(String),
    /// Guest: so many payload bytes reached their reader.
    Credit(u32),
    /// Host: bytes for the command's standard input.
    Input(Vec<u8>),
    /// Host: standard input ended.
    InputEnd,
    /// Host: a signal for the command.
    Signal(u8),
    /// Host: the terminal now has so many rows and columns.
    Resize(u16, u16),
    /// Host: a TCP connection came in.
    Open(u32),
    /// Either: bytes of a connection.
    Data(u32, Vec<u8>),
    /// Either: a connection ended.
    Close(u32),
}

/// What arrived was not a frame.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The line failed or ended within a frame.
    #[error("the serial line failed")]
    Line(#[from] io::Error),
    /// Bytes were lost or changed on the way.
    #[error("the serial line carried a damaged frame: {0}")]
    Damaged(&'static str),
}

impl Frame {
    /// The bytes of this frame on the line. Payloads beyond [`MAX_PAYLOAD`] must be split first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, stream, id, payload) = self.parts();
        assert!(
            payload.len() <= MAX_PAYLOAD,
            "a payload is split before it is framed"
        );
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend([kind, stream]);
        bytes.extend((payload.len() as u16).to_le_bytes());
        bytes.extend(id.to_le_bytes());
        let sum = checksum(&bytes, payload);
        bytes.extend(sum.to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Writes this frame and flushes.
    pub fn write_to(&self, line: &mut impl Write) -> io::Result<()> {
        line.write_all(&self.encode())?;
        line.flush()
    }

    /// Reads the next frame; `None` if the line ended between two frames.
    pub fn read_from(line: &mut impl Read) -> Result<Option<Self>, WireError> {
        let mut header = [0; HEADER];
        if !fill(line, &mut header)? {
            return Ok(None);
        }
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        if length > MAX_PAYLOAD {
            return Err(WireError::Damaged("its length is impossible"));
        }
        let mut payload = vec![0; length];
        line.read_exact(&mut payload)?;
        let sum = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if sum != checksum(&header[..8], &payload) {
            return Err(WireError::Damaged("its checksum is wrong"));
        }
        let id = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        Self::from_parts(header[0], header[1], id, payload)
            .ok_or(WireError::Damaged("its kind is unknown"))
            .map(Some)
    }

    fn parts(&self) -> (u8, u8, u32, &[u8]) {
        match self {
            Self::Hello(release) => (1, 0, 0, release.as_bytes()),
            Self::Output(Stream::Out, bytes) => (2, 1, 0, bytes),
            Self::Output(Stream::Err, bytes) => (2, 2, 0, bytes),
            Self::Exit(code) => (3, 0, u32::from(*code), &[]),
            Self::Fault(text) => (4, 0, 0, text.as_bytes()),
            Self::Credit(bytes) => (5, 0, *bytes, &[]),
            Self::Input(bytes) => (6, 0, 0, bytes),
            Self::InputEnd => (7, 0, 0, &[]),
            Self::Signal(number) => (8, 0, u32::from(*number), &[]),
            Self::Resize(rows, columns) => {
                (9, 0, u32::from(*rows) << 16 | u32::from(*columns), &[])
            }
            Self::Open(id) => (10, 0, *id, &[]),
            Self::Data(id, bytes) => (11, 0, *id, bytes),
            Self::Close(id) => (12, 0, *id, &[]),
        }
    }

    fn from_parts(kind: u8, stream: u8, id: u32, payload: Vec<u8>) -> Option<Self> {
        let text = |payload: Vec<u8>| String::from_utf8_lossy(&payload).into_owned();
        Some(match (kind, stream) {
            (1, _) => Self::Hello(text(payload)),
            (2, 1) => Self::Output(Stream::Out, payload),
            (2, 2) => Self::Output(Stream::Err, payload),
            (3, _) => Self::Exit(u8::try_from(id).ok()?),
            (4, _) => Self::Fault(text(payload)),
            (5, _) => Self::Credit(id),
            (6, _) => Self::Input(payload),
            (7, _) => Self::InputEnd,
            (8, _) => Self::Signal(u8::try_from(id).ok()?),
            (9, _) => Self::Resize((id >> 16) as u16, id as u16),
            (10, _) => Self::Open(id),
            (11, _) => Self::Data(id, payload),
            (12, _) => Self::Close(id),
            _ => return None,
        })
    }
}

/// `false` if the line ended before the first byte.
fn fill(line: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut got = 0;
    while got < buffer.len() {
        match line.read(&mut buffer[got..]) {
            Ok(0) if got == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => got += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// FNV-1a: a lost or a doubled byte must not go unnoticed; nobody attacks a serial line.
fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    header.iter().chain(payload).fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<Frame> {
        vec![
            Frame::Hello("6.12.107".into()),
            Frame::Output(Stream::Out, b"to be read\n".to_vec()),
            Frame::Output(Stream::Err, vec![0, 255, b'\n', b'\r']),
            Frame::Exit(143),
            Frame::Fault("no such disk".into()),
            Frame::Credit(70_000),
            Frame::Input(vec![3; MAX_PAYLOAD]),
            Frame::InputEnd,
            Frame::Signal(2),
            Frame::Resize(50, 210),
            Frame::Open(7),
            Frame::Data(u32::MAX, b"GET / HTTP/1.1\r\n".to_vec()),
            Frame::Close(7),
        ]
    }

    #[test]
    fn every_frame_comes_out_as_it_went_in() {
        let mut line = Vec::new();
        for frame in every_kind() {
            frame.write_to(&mut line).unwrap();
        }
        let mut rest = line.as_slice();
        for frame in every_kind() {
            assert_eq!(Frame::read_from(&mut rest).unwrap(), Some(frame));
        }
        assert_eq!(Frame::read_from(&mut rest).unwrap(), None);
    }

    #[test]
    fn a_lost_byte_is_noticed_wherever_it_was() {
        let whole = Frame::Output(Stream::Out, b"abcdef".to_vec()).encode();
        for lost in 0..whole.len() {
            let mut line = whole.clone();
            line.remove(lost);
            assert!(
                Frame::read_from(&mut line.as_slice()).is_err(),
                "byte {lost}"
            );
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_was() {
        let whole = Frame::Data(9, b"abcdef".to_vec()).encode();
        for changed in 0..whole.len() {
            let mut line = whole.clone();
            line[changed] ^= 0x10;
            assert!(
                Frame::read_from(&mut line.as_slice()).is_err(),
                "byte {changed}"
            );
        }
    }
}
