-- Pack the spans that the watermark has passed.
call packed_extend()
