//! Reading: whole contents up to a limit, or chunks read ahead on a thread of their own.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use life_proto::CHUNK_LIMIT;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::in_background;
use crate::error::Error;

/// How many chunks are read ahead of the connection.
const READ_AHEAD: usize = 4;

/// An input that is open.
pub struct Input {
    name: String,
    file: File,
    size: Option<u64>,
    head: Vec<Bytes>,
}

/// Chunks of an input, in order; the channel closes at the end, or after an error.
pub type Chunks = mpsc::Receiver<Result<Bytes, Error>>;

/// An input that was read up to a limit.
pub enum Gathered {
    /// There was no more.
    Whole(Bytes),
    /// There is more; nothing of it is lost.
    More(Input),
}

impl Input {
    /// Opens a file, or standard input for `-`.
    ///
    /// Waits for a pipe's writer, on a thread of its own, so that the command can be interrupted meanwhile. Fails with
    /// [`Error::NoInput`] for what does not exist, may not be read, or is a folder.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        in_background(move || Self::open_now(&path)).await
    }

    fn open_now(path: &Path) -> Result<Self, Error> {
        if path == Path::new("-") {
            let owned = io::stdin().as_fd().try_clone_to_owned();
            let file = File::from(owned.map_err(|error| Error::no_input(path, error))?);
            return Ok(Self { name: "the standard input".into(), file, size: None, head: Vec::new() });
        }
        let file = File::open(path).map_err(|error| Error::no_input(path, error))?;
        let metadata = file.metadata().map_err(|error| Error::no_input(path, error))?;
        if metadata.is_dir() {
            return Err(Error::no_input(path, io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let size = metadata.is_file().then_some(metadata.len());
        Ok(Self { name: path.display().to_string(), file, size, head: Vec::new() })
    }

    /// How many bytes there are, where that is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The first bytes, without using them up: up to one chunk.
    pub async fn peek(mut self) -> Result<(Bytes, Self), Error> {
        if self.head.is_empty() {
            self = self.read_head(1).await?;
        }
        Ok((self.head.first().cloned().unwrap_or_default(), self))
    }

    /// Reads up to `limit` bytes, and says whether that was all.
    pub async fn gather(mut self, limit: usize) -> Result<Gathered, Error> {
        if self.size.is_some_and(|size| size > limit as u64) {
            return Ok(Gathered::More(self));
        }
        // One chunk more than the limit takes, so that the end is seen.
        self = self.read_head(limit / CHUNK_LIMIT + 2).await?;
        let length: usize = self.head.iter().map(Bytes::len).sum();
        if length > limit {
            return Ok(Gathered::More(self));
        }
        if let [only] = self.head.as_slice() {
            return Ok(Gathered::Whole(only.clone()));
        }
        let mut whole = BytesMut::with_capacity(length);
        self.head.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        Ok(Gathered::Whole(whole.freeze()))
    }

    /// Reads everything, or fails when there is more than `limit`.
    pub async fn read_all(self, limit: usize, what: &str) -> Result<Bytes, Error> {
        let name = self.name.clone();
        match self.gather(limit).await? {
            Gathered::Whole(bytes) => Ok(bytes),
            Gathered::More(_) => Err(Error::data(
                "MESSAGE_TOO_LARGE",
                format!("{name} is larger than {what} can be, {limit} bytes"),
            )),
        }
    }

    /// Reads ahead on a thread of its own, a few chunks at most.
    pub fn chunks(self) -> Chunks {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        let Self { name, mut file, head, .. } = self;
        spawn_blocking(move || {
            // A short chunk in the head means that the end was seen.
            let ended = head.last().is_some_and(|chunk| chunk.len() < CHUNK_LIMIT);
            for chunk in head {
                if sender.blocking_send(Ok(chunk)).is_err() {
                    return;
                }
            }
            if ended {
                return;
            }
            loop {
                let chunk = read_chunk(&mut file, &name);
                let last = chunk.as_ref().map_or(true, |chunk| chunk.len() < CHUNK_LIMIT);
                let empty = chunk.as_ref().is_ok_and(Bytes::is_empty);
                if (!empty && sender.blocking_send(chunk).is_err()) || last {
                    return;
                }
            }
        });
        receiver
    }

    async fn read_head(mut self, chunks: usize) -> Result<Self, Error> {
        in_background(move || {
            while self.head.len() < chunks && self.head.last().is_none_or(|chunk| chunk.len() == CHUNK_LIMIT)
            {
                let chunk = read_chunk(&mut self.file, &self.name)?;
                if chunk.is_empty() {
                    break;
                }
                self.head.push(chunk);
            }
            Ok(self)
        })
        .await
    }
}

/// Reads until a chunk is full or the input ends.
fn read_chunk(file: &mut File, name: &str) -> Result<Bytes, Error> {
    let mut chunk = Vec::with_capacity(CHUNK_LIMIT);
    match file.take(CHUNK_LIMIT as u64).read_to_end(&mut chunk) {
        Ok(_) => Ok(chunk.into()),
        Err(source) => Err(Error::Read { name: name.to_owned(), source }),
    }
}

/// The path of an optional file argument: standard input where none is given.
pub fn path_or_stdin(path: Option<PathBuf>) -> PathBuf {
    path.unwrap_or_else(|| PathBuf::from("-"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn input(size: usize) -> Input {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; size]).unwrap();
        Input::open_now(file.path()).unwrap()
    }

    async fn drain(mut chunks: Chunks) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            sizes.push(chunk.unwrap().len());
        }
        sizes
    }

    #[tokio::test]
    async fn limits_are_exact_and_nothing_is_lost() {
        for size in [0, 1, CHUNK_LIMIT - 1, CHUNK_LIMIT, CHUNK_LIMIT + 1, 3 * CHUNK_LIMIT] {
            match input(size).gather(2 * CHUNK_LIMIT).await.unwrap() {
                Gathered::Whole(bytes) => assert!(bytes.len() == size && size <= 2 * CHUNK_LIMIT),
                Gathered::More(rest) => {
                    assert!(size > 2 * CHUNK_LIMIT);
                    assert_eq!(drain(rest.chunks()).await.iter().sum::<usize>(), size);
                }
            }
        }
    }

    #[tokio::test]
    async fn an_input_of_unknown_size_is_gathered_too() {
        for size in [CHUNK_LIMIT, 2 * CHUNK_LIMIT + 1] {
            let mut unknown = input(size);
            unknown.size = None;
            match unknown.gather(CHUNK_LIMIT).await.unwrap() {
                Gathered::Whole(bytes) => assert_eq!((bytes.len(), size), (CHUNK_LIMIT, CHUNK_LIMIT)),
                Gathered::More(rest) => assert_eq!(drain(rest.chunks()).await.iter().sum::<usize>(), size),
            }
        }
    }

    #[tokio::test]
    async fn peeking_uses_nothing_up() {
        let (head, rest) = input(CHUNK_LIMIT + 5).peek().await.unwrap();
        assert_eq!(head.len(), CHUNK_LIMIT);
        assert_eq!(drain(rest.chunks()).await, [CHUNK_LIMIT, 5]);
    }

    #[test]
    fn folders_and_missing_files_are_no_input() {
        for path in ["/", "/nonexistent/file"] {
            assert!(matches!(Input::open_now(Path::new(path)), Err(Error::NoInput { .. })));
        }
    }
}
