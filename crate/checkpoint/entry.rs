//! One tensor of the index: where it lies, and how it is read.

use super::TensorInfo;
use super::dtype::DType;
use super::layout::{Layout, Transform, reserved, zeroed};
use super::pieces::{Compression, Pieces, Sum};
use super::quantize::Recode;
use super::weights::{HostTensor, Packed, Weights};
use crate::error::{Error, Result, shown};
use crate::platform::Source;

/// A tensor of the index.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) info: TensorInfo,
    /// Which of the checkpoint's sources.
    pub(super) source: usize,
    /// First byte in that source.
    pub(super) offset: u64,
    /// `None` for a type that is listed but not computed with.
    pub(super) dtype: Option<DType>,
    pub(super) transform: Transform,
    pub(super) compression: Compression,
    /// Of formats that have one.
    pub(super) sum: Option<Sum>,
    /// The storage that the values are put into as they are read, and come out of again.
    pub(super) recode: Option<Recode>,
}

impl Entry {
    /// How the values lie in their bytes; a storage type that is not computed with is refused by name.
    pub(super) fn layout(&self, source: &Source) -> Result<Layout> {
        let TensorInfo { name, shape, dtype, .. } = &self.info;
        let refused = || {
            Error::unsupported(
                format!("{}: tensor {} of type {}", source.name(), shown(name), shown(dtype)),
                "convert the checkpoint to F32, F16 or BF16",
            )
        };
        Ok(Layout {
            file: source.name().to_owned(),
            name: name.clone(),
            shape: shape.clone(),
            dtype: self.dtype.ok_or_else(refused)?,
            transform: self.transform,
        })
    }

    /// The whole tensor as presented, in `spent` if that is large enough.
    pub(super) async fn read(&self, source: &Source, spent: Vec<f32>) -> Result<Vec<f32>> {
        match &self.recode {
            None => self.read_stored(source, spent).await,
            Some(recode) => Ok(self.read_recoded(source, recode).await?.unpack()?.data),
        }
    }

    /// The same of the values as the file has them.
    async fn read_stored(&self, source: &Source, spent: Vec<f32>) -> Result<Vec<f32>> {
        let layout = self.layout(source)?;
        let mut out = sized(spent, layout.numel(), source.name())?;
        self.each_part(source, &layout, |bytes, at| layout.unpack(bytes, at, &mut out)).await?;
        Ok(out)
    }

    /// The whole tensor as stored; what is as wide as f32 or wider comes out dense.
    pub(super) async fn read_packed(&self, source: &Source) -> Result<Weights> {
        let layout = self.layout(source)?;
        let dtype = self.recode.as_ref().map_or(layout.dtype, |recode| recode.dtype);
        if dtype.at_least_f32() {
            let data = self.read(source, Vec::new()).await?;
            return Ok(Weights::Dense(HostTensor { shape: layout.shape, data }));
        }
        let packed = match &self.recode {
            None => {
                let bytes = self.bytes(source, &layout).await?;
                Packed::new(layout, bytes)
            }
            Some(recode) => self.read_recoded(source, recode).await?,
        };
        Ok(Weights::Packed(packed))
    }

    /// The bytes of the whole tensor, of the storage that it is put into where it is put into one.
    pub(super) async fn read_bytes(&self, source: &Source) -> Result<Vec<u8>> {
        match &self.recode {
            None => self.bytes(source, &self.layout(source)?).await,
            Some(recode) => Ok(self.read_recoded(source, recode).await?.into_bytes()),
        }
    }

    /// The stored bytes.
    async fn bytes(&self, source: &Source, layout: &Layout) -> Result<Vec<u8>> {
        let mut bytes = reserved(layout.parts()?.iter().sum(), source.name())?;
        self.each_part(source, layout, |part, _| {
            bytes.extend_from_slice(part);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// The whole tensor in the storage that it is put into.
    async fn read_recoded(&self, source: &Source, recode: &Recode) -> Result<Packed> {
        let data = self.read_stored(source, Vec::new()).await?;
        self.recoded(source, recode, HostTensor { shape: self.info.shape.clone(), data })
    }

    /// Rows of the tensor, or all of it, in the storage that it is put into.
    pub(super) fn recoded(&self, source: &Source, recode: &Recode, tensor: HostTensor) -> Result<Packed> {
        let bytes = recode.encode(&tensor, source.name(), &self.info.name)?;
        let layout = self.layout(source)?;
        let Recode { dtype, transform } = *recode;
        Ok(Packed::new(Layout { shape: tensor.shape, dtype, transform, ..layout }, bytes))
    }

    /// Bytes of the whole tensor in memory, packed.
    pub(super) fn packed_bytes(&self) -> u64 {
        let recoded = self.recode.as_ref().and_then(|recode| recode.dtype.bytes_of(self.info.shape.iter().product()));
        recoded.unwrap_or(self.info.nbytes)
    }

    /// Holds the bytes against their checksum, once, before parts of them are read. Not where they would come
    /// over a network: then a part is all that is fetched.
    pub(super) async fn check_sum(&self, source: &Source) -> Result<()> {
        if self.sum.as_ref().is_none_or(Sum::held) || !source.at_hand() {
            return Ok(());
        }
        self.each_part(source, &self.layout(source)?, |_, _| Ok(())).await
    }

    /// Reads the stored bytes part by part; `take` is told where each begins.
    async fn each_part(
        &self,
        source: &Source,
        layout: &Layout,
        mut take: impl FnMut(&[u8], usize) -> Result<()>,
    ) -> Result<()> {
        let parts = layout.parts()?;
        if parts.is_empty() {
            return Ok(());
        }
        let Self { info, offset, compression, sum, .. } = self;
        let mut pieces = Pieces::new(source, &info.name, *offset, *compression, sum.as_ref()).await?;
        let mut at = 0;
        for len in parts {
            take(&pieces.take(len).await?, at)?;
            at += len;
        }
        pieces.finish().await
    }
}

/// `len` values of whatever, in `spent` if that is large enough.
fn sized(mut spent: Vec<f32>, len: usize, file: &str) -> Result<Vec<f32>> {
    if spent.capacity() < len {
        return zeroed(len, file);
    }
    spent.resize(len, 0.0);
    Ok(spent)
}
