"""The state bucket on the embedded AWS; on AWS a bucket is made by people, once, on purpose."""

from validator.accounts import CallError, Client, call


def make(client: Client, bucket: str, region: str) -> None:
    """Makes the bucket, if it is not there; raises AccountError."""
    settings = (
        {}
        if region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    try:
        call(client, "create_bucket", Bucket=bucket, **settings)
    except CallError as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise
