# What was asked, what was sent and what became of it; and capacity that is reserved.
resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_119: It holds ids and states of instances, nothing secret, under AWS's key; a key of the estate would have to admit one service more.
  name                        = local._table
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = true
  hash_key                    = "id"
  range_key                   = "part"

  attribute {
    name = "id"
    type = "S"
  }

  attribute {
    name = "part"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }

  # Only what has ended has a time at which it expires.
  ttl {
    attribute_name = "expires"
    enabled        = true
  }
}
