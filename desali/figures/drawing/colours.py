"""Colour maps as tables of 256 colours, so that a picture needs no plotting library."""

from __future__ import annotations

import base64
import functools
import zlib

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

# matplotlib's own tables: viridis (van der Walt and Smith, CC0) and ColorBrewer's RdBu, reversed (Brewer, Apache 2.0)
TABLES = {
    "viridis": (
        "c-jE~1ONO)0aQc+RYU_<MFm(z23kc3TSf_7Mhjj>3|~eLVMh;QM-gL35@kmeW=9ogM;2*E7-~ovYe*VwNE~iR9dAe;a7Z9=NFj1a"
        "B6CP1bVnt1M<#YhCwE6Ect<LEM=N?qEPF;Rd`2&PMlgLwF@8lde?>HZMKyp$Hi1MpfkZiiLpp;)JA*?!ghD-pLOz8;K!rg;hCxDx"
        "KtqQ>M29~`hd)P%K1hf@Nr^p5i9Jh+Jxqx_O^Q5DiaSt>J5h={Qj0oMi#b$_IaP}|R*N`Sj5k<}H(87}T8uVZj5S=0HC>D}UX3(g"
        "jWb}4GhvM~VvRCmjWJ}6F=dT0W{ogsjWB49FKLZ0YK<;yjxKDDE^Ur2ZjLQ)jx2DFEOCx3a*iu=jw^JIDs_%3c8)4{jwyJKDS3`4"
        "dX6Z1jwpMMCwz`4eU2x7jwXMOCV-A6fsQ4DjwOSQB!rD5g^eVJjU$JRBZ!S7iH#zOjUtMTB8!b7jEy0Uj3JJUAdie7kc=Raj31JW"
        "ACrq8l#3sgiyxMY9+!$9n2H{miXNGY9-4_Bn~5Hri5{JZ9-fFEpNJlyhaaJbAEJgIqlO@)g&?JcA*O{Pr-UM>gd?bfBdLNUs)8k}"
        "fhMehC#`@eu74@7e=4wkE3thnv3)MGd@r+mFtmCywR$tQc{R6qHn?{<xpq0Zc00OtJ-c*1ymLUkazegwM80rEzi&stZb`vyOTuhT"
        "!fQ{%X;H*zQ^jXh#%5Q>Wm(5$TgYNw$zfp0U}DN&WXoM=%v@>ATWif(ZO&M5&Q@~IRdmo)chFLK(NTQTPkz!)fzwQb(@TcbNr=@)"
        "i`7Pr)<lrjLz34)mDfL)*gl%rJe}D(pV>H~+Bc=zHK*G%s@pQH+%T`)F0$P$wcRVX-6^`>C%xV#zuzRn-y+4|A;;h!%HST&;2qE5"
        "9Ma(%)ZrS};u+fF7~J9*-{TnJ;~3=Q80X{}>Es#g<Qnef8}a2F^W`4)<{$XxA^PSb{pTdxxk&#"
    ),
    "RdBu_r": (
        "c-jE~1ONO5FkuEVV+S;52sUX6IBW_!Zwowf3_f)YKzI&Adk;l^5l4X%NrV$ihZIeU6;F*8QIHo@lNeT&8CaMaTALhPo*iDH9$=&&"
        "Vy7Tvsv%~qBWSH8YOW=0uP1G=C~vSSaj`3NvMhD8Eq1goc(pKkwlRFSGkv%;f4Mb*xi^ElIE1@7hP*q7y*!G(J&V6Tjle*U!9kJ2"
        "LzBZsl*CDv#Y~vSPnyS4oXAz4$ylJuTcXQeq|9Na&1I<0XsXX^tk7<*(Q&ZSbh6WTwAFgH)_u6wfV$X(yxE7o+KRy2jl$fJ#NCs{"
        "-j&ARn8@Fn$>5#J;h)RlqRrx@&f}-g<f+i)tJ3AJ)8??$=Cjr3wb$sl*yy_1>Al+OzufD>-Rs2O?8o2j$>HtH;_lAl@6qM((&g~e"
        "=J3_$@Yd(?*y!=u>G9j?@!ab2-s|$;?DFC4^WyFE<nHt3?(^sG^yu*P>hbjJ@$~KT_3rca@bmTY^!D@h_Vo4k_V)Jo_V)Mn^!N1g"
        "_w(@h^6vQX?D+5M`0nWW?dSRI<@xL5`Rd{M>EHV3-TLR-`sLaB<k$P-*8Aer`{C02;L!Zv&ivlY{N2j@+{pdg$NbpD{MNzy)V}-D"
        "y!+6(`p&lc%(VK-vH8cY`NgaG!>Rberue_3_`RX`yPo&CoA<Yw_OzDvvXk|&koB&P^{k8Zs)+QchV-U`^P_<Bpnmb5eD9lj?wEM("
        "mUirubnB3E>W*;ei*DzLZ03b(<%4MCfMw!+W8r&Y;CNr(bzR<aTitM3+ih3cYE{{2Q`luu*J4lBU`^CrOVe6P(N{^(R7cKHM$Jz}"
        "%uGYdNkYj+LB~Ts#y~#BK0L!aJHj|Rz%@9(GB>_3HoPq~yDBreCo;GsF}5KuwI43D94)dLE3g+TtrjY(6)C3_DWnr9p%N&b5ht4v"
        "Cz%i@mJcSA4knNdC5;RviVGx%3M7OHBY_Abeg`6Z1|oO`A$0^Haswc50w8PwA87y|X8<4V?$N>"
    ),
}


@functools.cache
def table(cmap: str) -> Bytes:
    """A colour map's 256 colours [256, 3]."""
    if cmap == "gray":
        return np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    if cmap in TABLES:
        return np.frombuffer(zlib.decompress(base64.b85decode(TABLES[cmap])), np.uint8).reshape(256, 3)
    import matplotlib

    return np.asarray(matplotlib.colormaps[cmap](np.arange(256) / 255, bytes=True), np.uint8)[:, :3]


def coloured(values: npt.NDArray[np.float64], cmap: str) -> Bytes:
    """An image [h, w] in [0, 1] in a colour map, or [h, w, 3] as it is, in bytes [h, w, 3]."""
    if values.ndim == 3:
        return np.rint(values * 255).astype(np.uint8)
    found: Bytes = table(cmap)[np.minimum((values * 256).astype(np.int64), 255)]
    return found
