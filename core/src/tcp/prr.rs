//! Proportional rate reduction: how the window is led down to ssthresh while a loss is repaired (RFC 6937).

use crate::pack::packed;

/// One reduction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prr {
    /// RecoverFS: FlightSize when it began.
    flight: u32,
    /// prr_delivered.
    delivered: u32,
    /// prr_out.
    out: u32,
    /// What ACKs before it had left room for and was not sent yet: it goes as if it had been sent before.
    unspent: u32,
}

/// What one ACK tells, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// DeliveredData.
    pub(super) delivered: u32,
    /// In flight after it.
    pub(super) pipe: u32,
    pub(super) threshold: u32,
    pub(super) mss: u32,
    /// SND.UNA has moved and nothing more turned out lost: slow start may be allowed (PRR-SSRB), as in Linux.
    pub(super) progress: bool,
}

impl Prr {
    /// Begins with `flight` bytes outstanding, and `unspent` bytes that could have been.
    ///
    /// ACKs that arrive together are all looked at before anything is sent. What the first of them let go, by limited transmit and the window, must not be
    /// lost because the last of them tells of a loss: on a short path that is most of the flight, and the repair would be all alone on its way.
    pub(super) const fn new(flight: u32, unspent: u32) -> Self {
        Self { flight: flight.saturating_add(unspent), delivered: 0, out: 0, unspent }
    }

    /// Bytes were sent, again or for the first time.
    //= https://www.rfc-editor.org/rfc/rfc6937#section-3
    //# prr_out += (data sent) // strictly less than or equal to sndcnt (6937:3-6).
    pub(super) const fn on_sent(&mut self, bytes: u32) {
        let before = if bytes < self.unspent { bytes } else { self.unspent };
        self.unspent -= before;
        self.out = self.out.saturating_add(bytes - before);
    }

    /// The window after an ACK.
    pub(super) fn on_ack(&mut self, told: Told) -> u32 {
        let Told { delivered, pipe, threshold, mss, progress } = told;
        self.delivered = self.delivered.saturating_add(delivered);
        let count = if pipe > threshold {
            //= https://www.rfc-editor.org/rfc/rfc6937#section-3
            //# sndcnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out (6937:3-2).
            let share = u64::from(self.delivered) * u64::from(threshold);
            // Whole segments, as in Linux: what falls short of one would wait for the next ACK.
            let allowed =
                share.div_ceil(u64::from(self.flight.max(1))).next_multiple_of(u64::from(mss.max(1)));
            u32::try_from(allowed).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            let limit = self.delivered.saturating_sub(self.out).max(delivered);
            //= https://www.rfc-editor.org/rfc/rfc6937#section-3
            //# limit = MAX(prr_delivered - prr_out, DeliveredData) + MSS (6937:3-4).
            // The segment more only where the repair moves on and nothing else turned out lost, as in Linux: else no more goes than arrived.
            let limit = if progress { limit.saturating_add(mss) } else { limit };
            //= https://www.rfc-editor.org/rfc/rfc6937#section-3
            //# sndcnt = MIN(ssthresh - pipe, limit) (6937:3-5).
            limit.min(threshold - pipe)
        };
        // The segment that the first ACK tells to be lost goes in any case.
        let least = if self.out == 0 { mss } else { 0 };
        pipe.saturating_add(count.max(least)).saturating_add(self.unspent)
    }
}

packed!(Prr { flight, delivered, out, unspent });
