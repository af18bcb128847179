# A look at a node as jobs find it: asked for by name, not part of `all`.
rule preflight:
    output:
        f"{RESULTS}/preflight.txt",
    log:
        f"{RESULTS}/logs/preflight.log",
    benchmark:
        f"{RESULTS}/benchmarks/preflight.tsv"
    # The same node would say the same again.
    retries: 0
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    script:
        "../scripts/preflight.py"
